"""Tests of a tool that were written without its code: by its description and schema alone.

Who writes code and tests together tests what the code does, not what it should do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agentgym.core.asking import Questions
from agentgym.core.policy import Policy, Sampling
from agentgym.evolution.gate.samples import sample_arguments
from agentgym.memory.tools.document import TESTS_FOLDER, Contract
from agentgym.memory.tools.inspecting import parsed

MOST_PROGRAMS = 8
"""Of one tester."""


class BlindTester(Protocol):
    """Writes tests of tools that it has not seen."""

    @property
    def name(self) -> str:
        """Stands in the paths of its tests."""
        ...

    async def write(self, contract: Contract) -> Mapping[str, bytes]:
        """Return programs by file name, which end with an error where the tool is not as described; may be none."""
        ...


class SchemaTester:
    """Needs no model: calls that the schema allows, and the declared examples.

    A tool answers such a call with a JSON object of its output schema, or refuses it with a `ValueError` that says why;
    it refuses not all of them, answers the same when asked again, and leaves its arguments as they are.
    """

    name = "schema"

    async def write(self, contract: Contract) -> Mapping[str, bytes]:
        """Return up to three programs."""
        programs: dict[str, str] = {}
        calls = [*(dict(example.arguments) for example in contract.examples)]
        calls += [each for each in sample_arguments(contract.spec.input_schema) if each not in calls]
        if contract.examples:
            pairs = [(dict(example.arguments), dict(example.result)) for example in contract.examples]
            programs["examples.py"] = _EXAMPLES.format(cases=_literal(pairs))
        if calls:
            required, types = _expected(contract.output_schema or {})
            programs["answers.py"] = _ANSWERS.format(
                calls=_literal(calls), required=_literal(required), types=_literal(types)
            )
            programs["repeats.py"] = _REPEATS.format(calls=_literal(calls))
        return {name: text.encode() for name, text in programs.items()}


_EXAMPLES = """import json
from tool import run
for arguments, result in json.loads({cases}):
    told = json.dumps(arguments)
    answer = run(arguments)
    assert answer == result, f"run({{told}}) gives {{answer!r:.200}}; the declared answer is {{result!r:.200}}"
"""

_CALL = """import copy, json
from tool import run

def call(arguments):
    try:
        return run(arguments)
    except ValueError as error:
        assert str(error), f"run({{arguments!r:.200}}) is refused without a reason"
        return None
    except Exception as error:
        raise AssertionError(
            f"run({{arguments!r:.200}}) raised {{type(error).__name__}}: {{error}}; the schema allows the call: "
            "answer it, or refuse it with a ValueError"
        ) from error

"""

_ANSWERS = (
    _CALL
    + """KINDS = {{"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}}
required, types = json.loads({required}), json.loads({types})
answered = 0
for arguments in json.loads({calls}):
    told = f"run({{arguments!r:.200}})"
    answer = call(arguments)
    if answer is None:
        continue
    answered += 1
    assert isinstance(answer, dict), f"{{told}} gives a {{type(answer).__name__}}, not a dictionary"
    json.dumps(answer, allow_nan=False)
    for name in required:
        assert name in answer, f"{{told}} gives no {{name!r}}: {{answer!r:.200}}"
    for name, kind in types.items():
        assert name not in answer or isinstance(answer[name], KINDS[kind]), f"{{told}}: {{name!r}} is no {{kind}}"
assert answered, "every call that the schema allows is refused"
"""
)

_REPEATS = (
    _CALL
    + """for arguments in json.loads({calls}):
    given = copy.deepcopy(arguments)
    first = call(arguments)
    assert arguments == given, f"run({{given!r:.200}}) changes its arguments"
    assert first == call(given), f"run({{arguments!r:.200}}) answers otherwise when asked again"
"""
)


def _literal(value: object) -> str:
    """Return JSON as a Python literal, braces and all."""
    return repr(json.dumps(value))


def _expected(schema: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Return the names that an answer has, and the types that are stated of them."""
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    kinds = {name: each.get("type") for name, each in properties.items()}
    known = ("string", "integer", "number", "boolean", "array", "object")
    return list(schema.get("required", [])), {name: kind for name, kind in kinds.items() if kind in known}


_PROMPT = """Below is the description of a tool, a Python function `run(args)` that takes the arguments as a dictionary \
and returns a dictionary. You do not see its code.

Write {n} short test programs for it, each in a block of its own between ```python and ```. Each begins with \
`from tool import run`, calls it with arguments that the schema allows, and asserts what the description promises: \
typical calls, edges, and what has to hold between the answers to several calls. Assert nothing that the description \
leaves open. Use the standard library alone.

{description}"""

_BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)


class PolicyBlindTester:
    """Asks a policy, which sees name, description, schemas and declared examples."""

    def __init__(
        self, policy: Policy, *, name: str = "policy", programs: int = 4, max_tokens: int = 2000
    ) -> None:
        self._questions = Questions(policy, f"blind-{name}", Sampling(temperature=0.0, max_tokens=max_tokens))
        self._name = name
        self._programs = programs

    @property
    def name(self) -> str:
        """As it was given."""
        return self._name

    async def write(self, contract: Contract) -> Mapping[str, bytes]:
        """Return the programs in the policy's answer that test anything. Raises `InferenceFault`."""
        prompt = _PROMPT.format(n=self._programs, description=json.dumps(contract.to_data(), indent=1))
        answer = await self._questions.ask(prompt)
        found = [text for text in _BLOCK.findall(answer) if _tests(text)]
        return {f"{n}.py": text.encode() for n, text in enumerate(found[:MOST_PROGRAMS], 1)}


def _tests(text: str) -> bool:
    return (
        parsed(text.encode()) is not None
        and "assert" in text
        and re.search(r"\bimport\b.*\brun\b|import tool", text) is not None
    )


class BlindTests:
    """The tests that testers have written, each tool's once."""

    def __init__(self, testers: Sequence[BlindTester]) -> None:
        self.testers = testers
        self._written: dict[str, dict[str, bytes]] = {}

    async def of(self, contract: Contract) -> dict[str, bytes]:
        """Return the programs by path."""
        told = json.dumps(contract.to_data(), sort_keys=True)
        if told not in self._written:
            self._written[told] = {
                f"{TESTS_FOLDER}blind-{tester.name}-{name}": program
                for tester in self.testers
                for name, program in (await tester.write(contract)).items()
            }
        return self._written[told]
