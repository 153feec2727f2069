"""Mutants, and which of them tests notice."""

from __future__ import annotations

import ast
import asyncio

import pytest

from agentgym.core.errors import ConfigError
from agentgym.evolution.gate.blind import BlindTests
from agentgym.evolution.gate.mutants import mutants, spread
from agentgym.evolution.gate.mutation import mutation_score
from agentgym.evolution.gate.report import Check, Standing
from agentgym.evolution.gate.stages import GateRules, MutationStage
from tests.evolution.gate.tools import CODE, PATIENT, TESTS, bill_splitter


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("a = b < 1", ["1 becomes 2", "Lt becomes LtE"]),
        ("a = b + c if d and e else f", ["Add becomes Sub", "And becomes Or", "a condition is negated"]),
        ("def f(x: 'int' = 3) -> 'str':\n    'Doc.'\n    return 'y'", ["3 becomes 4", "'y' becomes 'y?'", "nothing is returned"]),
        ("if a:\n    raise ValueError('no' + 'pe')", ["`raise ValueError('no' + 'pe')` is left out", "a condition is negated"]),
        ("for x in y:\n    z.append(x)\n    break", ["`z.append(x)` is left out", "break becomes continue"]),
        ("a += 1", ["1 becomes 2", "Add becomes Sub", "`a += 1` is left out"]),
        ("a = True\nif __name__ == '__main__':\n    b = 1", ["True becomes False"]),
        ("import os", []),
    ],
)  # fmt: skip
def test_what_is_changed(code: str, changes: list[str]) -> None:
    found = mutants(code)
    assert sorted(mutant.change for mutant in found) == sorted(changes)
    for mutant in found:
        ast.parse(mutant.code)
        assert mutant.code != ast.unparse(ast.parse(code))
        assert len(set(mutant.code.splitlines()) ^ set(ast.unparse(ast.parse(code)).splitlines())) in (
            1,
            2,
            3,
        )


def test_every_mutant_is_another_program() -> None:
    found = mutants(CODE)
    assert len({mutant.code for mutant in found}) == len(found) == 10
    assert spread(found, 99) == found
    assert [mutant.line for mutant in spread(found, 3)] == [5, 7, 8]


def score(tests: dict[str, str], code: str = CODE, **rules: float) -> Check:
    stage = MutationStage(PATIENT, BlindTests(()), GateRules(**rules))  # pyright: ignore[reportArgumentType]
    return asyncio.run(stage.check(bill_splitter(code, tests)))


def test_tests_that_hold_the_tool_to_what_it_does_notice_all() -> None:
    check = score(TESTS)
    assert (check.standing, check.figure, check.n) == (Standing.PASSED, 1.0, 10)


def test_tests_that_look_at_nothing_notice_little() -> None:
    check = score({"test_weak.py": "from tool import run\nassert run\n"}, mutants=6)
    assert (check.standing, check.n) == (Standing.FAILED, 6)
    assert check.figure == 0
    told = "0 of 6 mutants are noticed, at least 60% are to be; unnoticed: scripts/tool.py, line 5: "
    assert check.reason.startswith(told)


def test_a_mutant_that_never_ends_is_noticed() -> None:
    code = "def run(args):\n    n = args['cents']\n    while n > 0:\n        n -= 1\n    return {'shares': [n]}\n"
    tests = {"test.py": "from tool import run\nrun({'cents': 3, 'people': 1})\n"}
    result = asyncio.run(
        mutation_score(
            bill_splitter(code, tests), {k: v.encode() for k, v in tests.items()}, PATIENT, most=99
        )
    )
    assert "scripts/tool.py, line 4: Sub becomes Add" not in result.survivors
    assert "scripts/tool.py, line 5: nothing is returned" in result.survivors


def test_tests_that_fail_give_no_score() -> None:
    check = score({"test_wrong.py": "assert False, 'never'"})
    assert (check.standing, check.figure) == (Standing.UNDECIDED, None)
    assert check.reason == "no score: tests/test_wrong.py failed: AssertionError: never"


def test_rules_that_cannot_work() -> None:
    for wrong in ({"mutants": 0}, {"least_killed": 0.0}, {"least_killed": 1.1}):
        with pytest.raises(ConfigError):
            GateRules(**wrong)  # pyright: ignore[reportArgumentType]
