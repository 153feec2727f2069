"""The runner itself: what is not understood fails, and nothing is excused that a file does not flag."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tests.golden.adapters  # noqa: F401  # pyright: ignore[reportUnusedImport]  (registers the adapters)
from tests.golden.cases import VECTORS, Case, load
from tests.golden.compare import KINDS, Verdict, check

ORDER: dict[str, Any] = {
    "name": "order",
    "kind": "order",
    "input": {"T": 3, "mode": "reverse"},
    "expected": {"order": [2, 1, 0]},
}


def read(folder: Path, *cases: Any, notes: str = "") -> list[Case]:
    meta = {"tolerance": {"rtol": 1e-5, "atol": 1e-5}, "notes": notes}
    (folder / "file.json").write_text(json.dumps({"meta": meta, "cases": cases}))
    return load(folder)


def test_a_case_that_agrees_passes(tmp_path: Path) -> None:
    (case,) = read(tmp_path, ORDER)
    assert check(case) is Verdict.PASSED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "ordre"}, "Did you mean 'order'"),
        ({"kind": None, "input": {"strange": 1}}, "Unknown kind"),
        ({"input": {**ORDER["input"], "twist": 1}}, "ignores the inputs .'twist'"),
        ({"expected": {**ORDER["expected"], "more": 1}}, "does not give .'more'"),
        ({"expected": {}}, "expects nothing"),
        ({"expected": {"order": [2, 0, 1]}}, "Not equal"),
        ({"expected": {"order": [2, 1]}}, "shape"),
    ],
)
def test_what_is_not_understood_or_differs_fails(tmp_path: Path, change: Any, message: str) -> None:
    (case,) = read(tmp_path, {**ORDER, **change})
    with pytest.raises(AssertionError, match=message):
        check(case)


@pytest.mark.parametrize("text", ["{", "[1, 2]", '{"cases": []}', '{"meta": {"tolerance": {}}, "cases": []}'])
def test_a_file_of_another_form_fails(tmp_path: Path, text: str) -> None:
    (tmp_path / "file.json").write_text(text)
    (case,) = load(tmp_path)
    with pytest.raises(AssertionError, match="not a file of golden cases"):
        check(case)


def grpo(reward: float, expected: list[float]) -> dict[str, Any]:
    """Four rollouts of one token each, all of one reward."""
    rows = [[reward]] * 4
    given = {
        "reward": [reward] * 4,
        "group": ["q"] * 4,
        "response_mask": [[1]] * 4,
        "token_level_rewards": rows,
    }
    return {"name": "equal", "input": given, "expected": {"grpo": expected}}


def test_noise_is_excused_only_where_the_file_flags_it_and_ours_is_zero(tmp_path: Path) -> None:
    noise = grpo(9.025, [-0.466] * 4)
    flagged, named = {**noise, "fp_noise": True}, "NOTE fp noise: equal / other show noise."
    assert check(read(tmp_path, flagged)[0]) is Verdict.EXCUSED
    assert check(read(tmp_path, noise, notes=named)[0]) is Verdict.EXCUSED
    with pytest.raises(AssertionError):
        check(read(tmp_path, noise)[0])
    wrong = {**flagged, "expected_exact_arithmetic": {"grpo": [0.1] * 4}}
    with pytest.raises(AssertionError):
        check(read(tmp_path, wrong)[0])


def test_every_kind_is_met_in_the_vectors() -> None:
    assert {case.kind for case in load(VECTORS)} == set(KINDS)
