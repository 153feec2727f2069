"""From a need to a tool: what a tool writer is, and one that asks a policy."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from agentgym.core.asking import Questions
from agentgym.core.errors import UsageError
from agentgym.core.memory import MemoryItem
from agentgym.core.policy import Policy, Sampling
from agentgym.core.tool import ToolSpec
from agentgym.core.trace import Episode
from agentgym.memory.skills.document import check_name
from agentgym.memory.tools.document import CODE_FILE, Example, contract_of, tool_item
from agentgym.memory.tools.inspecting import parsed


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A tool that is wanted."""

    need: str
    """What it is to do, in words."""
    space: str = ""
    env_id: str = ""
    episodes: tuple[Episode, ...] = ()
    """Those in which it was missed; of the split `train`."""
    run: str = ""
    """That of the episodes."""


class ToolWriter(Protocol):
    """Writes tools, and makes one of several."""

    @property
    def name(self) -> str:
        """Who is recorded as the author."""
        ...

    async def write(
        self, request: ToolRequest, known: Sequence[MemoryItem], complaint: str = ""
    ) -> MemoryItem | None:
        """Return a tool, given those that there are; None: there is no use for another.

        `complaint` says what was wrong with the last one. Raises `UsageError` for an answer that is no tool.
        """
        ...


_FORM = """Answer with three kinds of blocks and nothing else:
```json
{"name": "lower-case-with-hyphens", "description": "what it does, and what it promises at the edges", \
"inputSchema": {"type": "object", "properties": {...}, "required": [...]}, \
"outputSchema": {"type": "object", "properties": {...}, "required": [...]}, \
"examples": [{"arguments": {...}, "result": {...}}]}
```
```python
def run(args: dict) -> dict:
    ...
```
```python
from tool import run
assert run({...}) == {...}
```
The code uses the standard library alone, no network, no files, no other processes. The same arguments always give the \
same answer, and are left as they are. A call that the schema allows and that cannot be answered raises a ValueError that \
says why. The tests hold the tool to typical calls and to the edges; there may be several blocks of them."""

_WRITE = (
    "Write a tool, a Python function of JSON arguments, for this need:\n{need}\n\n{known}{complaint}{form}"
)
_MERGE = (
    "These tools do nearly the same. Write one tool that can take the place of all of them, as simple as that allows.\n\n"
    "{tools}\n\n{form}"
)
_BLOCK = re.compile(r"```(json|python|py)[ \t]*\n(.*?)```", re.DOTALL)


class PolicyToolWriter:
    """Asks a policy for tools; raises `InferenceFault` where that fails."""

    def __init__(self, policy: Policy, *, name: str = "policy", max_tokens: int = 3000) -> None:
        self._name = name
        self._questions = Questions(policy, f"tool-{name}", Sampling(temperature=0.0, max_tokens=max_tokens))

    @property
    def name(self) -> str:
        """As it was given."""
        return self._name

    async def write(
        self, request: ToolRequest, known: Sequence[MemoryItem], complaint: str = ""
    ) -> MemoryItem | None:
        """Return the tool in the policy's answer; an answer without any block is none."""
        listed = "".join(f"- {tool.name}: {tool.key_text}\n" for tool in known)
        answer = await self._questions.ask(
            _WRITE.format(
                need=request.need,
                known=f"These tools there are already; write {{}} alone if one of them will do:\n{listed}\n"
                if listed
                else "",
                complaint=f"The last attempt was turned away: {complaint}\n\n" if complaint else "",
                form=_FORM,
            )
        )
        if not _BLOCK.search(answer):
            return None
        return read_tool(answer, space=request.space, env_id=request.env_id)

    async def merge(self, tools: Sequence[MemoryItem]) -> MemoryItem:
        """Return one tool in place of several of one space. Raises `UsageError` for an answer that is no tool."""
        told = (
            f"{json.dumps(contract_of(tool).to_data())}\n```python\n{tool.files[CODE_FILE].decode()}\n```"
            for tool in tools
        )
        answer = await self._questions.ask(_MERGE.format(tools="\n\n".join(told), form=_FORM))
        return read_tool(answer, space=tools[0].space, env_id=tools[0].env_id)


def read_tool(answer: str, *, space: str = "", env_id: str = "") -> MemoryItem:
    """Return the tool in an answer of the form asked for: a block of JSON, one with `run`, others with tests.

    Nothing of it is run. Raises `UsageError` naming what is missing or broken.
    """
    blocks = [(kind, text.strip() + "\n") for kind, text in _BLOCK.findall(answer)]
    described = _described(next((text for kind, text in blocks if kind == "json"), ""))
    programs = [text for kind, text in blocks if kind != "json"]
    codes = [text for text in programs if re.search(r"^def run\(", text, re.MULTILINE)]
    if not codes:
        raise UsageError("The answer has no ```python block that defines `run(args)`.")
    tests = [text for text in programs if text is not codes[0] and parsed(text.encode()) is not None]
    spec = ToolSpec(described["name"], described["description"], described["inputSchema"])
    return tool_item(
        spec,
        codes[0],
        {f"test_{number}.py": text for number, text in enumerate(tests, 1)},
        space=space,
        env_id=env_id,
        output_schema=described.get("outputSchema"),
        examples=_examples(described.get("examples", [])),
    )


def _described(text: str) -> dict[str, Any]:
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The answer has no ```json block that describes the tool ({error}).") from None
    described = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    texts = all(isinstance(described.get(key), str) for key in ("name", "description"))
    if not texts or not isinstance(described.get("inputSchema"), dict):
        raise UsageError('The ```json block needs "name", "description" and "inputSchema".')
    check_name(described["name"])
    return described


def _examples(listed: Any) -> list[Example]:
    try:
        return [Example(dict(each["arguments"]), dict(each["result"])) for each in listed]
    except (KeyError, TypeError, ValueError):
        raise UsageError('Examples are a list of {"arguments": {...}, "result": {...}}.') from None
