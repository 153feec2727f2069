"""Tools out of a policy's answers."""

from __future__ import annotations

import asyncio

import pytest

from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemKind
from agentgym.memory.tools.document import CODE_FILE, contract_of
from agentgym.memory.tools.writing import PolicyToolWriter, ToolRequest, read_tool
from tests.agents.playing import Parrot

ANSWER = """Here it is.
```json
{"name": "twice", "description": "Doubles a number.",
 "inputSchema": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
 "outputSchema": {"type": "object", "properties": {"y": {"type": "integer"}}},
 "examples": [{"arguments": {"x": 2}, "result": {"y": 4}}]}
```
```python
def run(args: dict) -> dict:
    return {"y": 2 * args["x"]}
```
```python
from tool import run
assert run({"x": 0}) == {"y": 0}
```
```py
from tool import run
def test_negative():
    assert run({"x": -1}) == {"y": -2}
```
"""


def test_a_tool_is_read() -> None:
    tool = read_tool(ANSWER, space="team", env_id="world")
    assert (tool.kind, tool.name, tool.space, tool.env_id) == (ItemKind.TOOL, "twice", "team", "world")
    assert sorted(tool.files) == ["scripts/tool.py", "tests/test_1.py", "tests/test_2.py", "tool.json"]
    assert tool.files[CODE_FILE] == b'def run(args: dict) -> dict:\n    return {"y": 2 * args["x"]}\n'
    contract = contract_of(tool)
    assert contract.spec.description == "Doubles a number."
    assert [dict(example.result) for example in contract.examples] == [{"y": 4}]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("```json", "```", "no ```json block"),
        ('{"name"', '{name"', "no ```json block"),
        ('"name": "twice", ', "", 'needs "name", "description" and "inputSchema"'),
        ('"inputSchema"', '"schema"', 'needs "name", "description" and "inputSchema"'),
        ('"twice"', '"../twice"', "Not the name of a skill"),
        ('"required": ["x"]', '"required": ["z"]', "requires 'z'"),
        ('{"arguments": {"x": 2}', '{"arguments": 2', "Examples are a list"),
        ('{"arguments": {"x": 2}', '{"arg": {"x": 2}', "Examples are a list"),
        ("def run(", "def walk(", "no ```python block that defines"),
        ("return {", "return {{", "is no Python"),
    ],
)
def test_what_is_no_tool_is_told(old: str, new: str, problem: str) -> None:
    assert old in ANSWER
    with pytest.raises(UsageError, match=problem):
        read_tool(ANSWER.replace(old, new, 1))


def test_a_policy_is_asked_and_told_what_was_wrong() -> None:
    parrot = Parrot(ANSWER, "{}", ANSWER)
    writer = PolicyToolWriter(parrot, name="gpt")
    request = ToolRequest("Double a number.", space="team")
    made = asyncio.run(writer.write(request, []))
    assert made == read_tool(ANSWER, space="team")
    assert made is not None
    assert asyncio.run(writer.write(request, [made], "tests: too few")) is None
    first, second = (each.messages[0].content for each in parrot.requests)
    assert "Double a number." in first
    assert "turned away" not in first
    assert "- twice: Doubles a number." in second
    assert "The last attempt was turned away: tests: too few" in second
    assert asyncio.run(writer.merge([made, made])) == made
    assert parrot.requests[-1].messages[0].content.count('return {"y": 2 * args["x"]}') == 2
    assert parrot.ended == [each.session_id for each in parrot.requests]
