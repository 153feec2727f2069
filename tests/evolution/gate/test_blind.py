"""Tests that are written without the code, run against tools that are not what they say."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agentgym.core.tool import ToolSpec
from agentgym.evolution.gate.blind import BlindTests, PolicyBlindTester, SchemaTester
from agentgym.evolution.gate.report import Check, Standing
from agentgym.evolution.gate.samples import sample_arguments
from agentgym.evolution.gate.stages import BlindTestsStage
from agentgym.memory.tools.document import Example, contract_of
from tests.agents.playing import Parrot
from tests.evolution.gate.tools import CODE, PATIENT, SPEC, bill_splitter


def blind(code: str = CODE, tester: Any = None, **fields: Any) -> Check:
    stage = BlindTestsStage(PATIENT, BlindTests([tester or SchemaTester()]))
    return asyncio.run(stage.check(bill_splitter(code, **fields)))


def test_what_is_as_described_passes() -> None:
    check = blind()
    assert (check.standing, check.figure, check.n) == (Standing.PASSED, 1.0, 3)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("place < odd", "place > odd", "the declared answer is {'shares': [3, 3, 3, 2]}"),
        ('args["cents"], ', 'args["cents"] * 100 // (args["cents"] - 7), ', "raised ZeroDivisionError"),
        ('{"shares": shares}', '{"share": shares}', "gives no 'shares'"),
        ('{"shares": shares}', '{"shares": str(shares)}', "'shares' is no array"),
        ('{"shares": shares}', "shares", "gives a list, not a dictionary"),
        ("    shares = []", "    shares = args.setdefault('shares', [])", "changes its arguments"),
        ("    shares = []", "    import random\n    shares = [random.random()]", "answers otherwise when asked again"),
        ("    shares = []", "    raise ValueError('not today')", "every call that the schema allows is refused"),
        ("    shares = []", "    raise ValueError", "is refused without a reason"),
    ],
)  # fmt: skip
def test_what_is_not_is_told(old: str, new: str, problem: str) -> None:
    assert old in CODE
    examples = {} if "declared" in problem else {"examples": ()}
    check = blind(CODE.replace(old, new), **examples)
    assert check.standing is Standing.FAILED
    assert problem in json.dumps(check.details["problems"]).replace('\\"', '"')


def test_what_a_schema_leaves_open_may_be_refused_in_words() -> None:
    code = CODE.replace(
        "    shares = []",
        "    if args['people'] > 20:\n        raise ValueError('Too many.')\n    shares = []",
    )
    assert blind(code).passed


def test_a_description_that_says_nothing_gives_no_tests() -> None:
    spec = ToolSpec(
        SPEC.name,
        "?",
        {"type": "object", "properties": {"x": {"type": "string", "pattern": "^z+$"}}, "required": ["x"]},
    )
    check = blind(spec=spec, examples=())
    assert (check.standing, check.reason) == (
        Standing.UNDECIDED,
        "its description gives nothing to test (schema)",
    )


def test_a_policy_sees_everything_but_the_code() -> None:
    answer = (
        "Two tests:\n```python\nfrom tool import run\nassert sum(run({'cents': 101, 'people': 7})['shares']) == 101\n"
        "```\n```python\nfrom tool import run\ndef test_order():\n    shares = run({'cents': 5, 'people': 3})['shares']\n"
        "    assert shares == sorted(shares, reverse=True)\n```\n```python\nthis is no test\n```\n```\nassert 0\n```"
    )
    parrot = Parrot(answer)
    check = blind(tester=PolicyBlindTester(parrot, name="gpt"))
    assert (check.standing, check.n) == (Standing.PASSED, 2)
    assert sorted(check.details["programs"]) == ["tests/blind-gpt-1.py", "tests/blind-gpt-2.py"]
    (request,) = parrot.requests
    asked = request.messages[0].content
    assert SPEC.description in asked
    assert '"maximum": 50' in asked
    assert "divmod" not in asked
    assert "test_shares" not in asked
    assert parrot.ended == [request.session_id]
    lazy = "x = 1\n" + CODE.replace("place < odd", "place >= odd")
    assert blind(lazy, tester=PolicyBlindTester(Parrot(answer), name="gpt")).standing is Standing.FAILED


def test_a_policy_that_writes_no_test_decides_nothing() -> None:
    check = blind(tester=PolicyBlindTester(Parrot("I would rather not.")))
    assert check.standing is Standing.UNDECIDED


def test_each_tool_is_written_for_once() -> None:
    parrot = Parrot("```python\nfrom tool import run\nassert run\n```")
    tests = BlindTests([PolicyBlindTester(parrot)])
    contract = contract_of(bill_splitter())
    first = asyncio.run(tests.of(contract))
    assert asyncio.run(tests.of(contract)) == first
    assert len(parrot.requests) == 1


@st.composite
def schemas(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """Schemas for which values can be made."""
    nested = ["array", "anyOf", "object"] if depth else []
    match draw(st.sampled_from(["integer", "number", "string", "enum", "plain", *nested])):
        case "integer":
            low = draw(st.integers(-9, 9))
            return {"type": "integer", "minimum": low, "maximum": low + draw(st.integers(0, 9))}
        case "number":
            return {"type": "number", "exclusiveMinimum": draw(st.floats(-5, 5))}
        case "string":
            least = draw(st.integers(0, 9))
            return {"type": "string", "minLength": least, "maxLength": least + draw(st.integers(0, 9))}
        case "enum":
            return {"enum": draw(st.lists(st.integers() | st.text(), min_size=1, unique_by=str))}
        case "array":
            return {"type": "array", "items": draw(schemas(depth - 1)), "minItems": draw(st.integers(0, 3))}
        case "anyOf":
            return {"anyOf": draw(st.lists(schemas(depth - 1), min_size=1, max_size=3))}
        case "object":
            return draw(objects(depth - 1))
        case _:
            plain: list[dict[str, Any]] = [
                {"type": "boolean"},
                {"type": ["string", "null"]},
                {},
                {"const": 3},
            ]
            return draw(st.sampled_from(plain))


@st.composite
def objects(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """Schemas of objects."""
    properties = draw(st.dictionaries(st.sampled_from("xyz"), schemas(depth), max_size=3))
    names = st.lists(st.sampled_from(sorted(properties)), unique=True) if properties else st.just(list[str]())
    return {"type": "object", "properties": properties, "required": draw(names)}


@given(objects())
@settings(max_examples=40, deadline=None)
def test_arguments_are_what_the_schema_allows(schema: dict[str, Any]) -> None:
    found = sample_arguments(schema)
    assert found == sample_arguments(json.loads(json.dumps(schema)))
    assert found
    for arguments in found:
        assert Draft202012Validator(schema).is_valid(arguments)  # pyright: ignore[reportUnknownMemberType]
    assert {name for arguments in found for name in arguments} == set(schema["properties"])


def test_declared_examples_come_first() -> None:
    schema = {
        "type": "object",
        "properties": {"x": {"type": "integer", "examples": [5, 7]}},
        "examples": [{"x": 9}],
    }
    assert sample_arguments(schema) == [{"x": 9}, {}, {"x": 5}, {"x": 7}]
    assert contract_of(bill_splitter()).examples == (
        Example({"cents": 11, "people": 4}, {"shares": [3, 3, 3, 2]}),
    )
