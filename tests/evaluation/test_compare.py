from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agentgym.core.errors import UsageError
from agentgym.evaluation.compare import Comparison, Verdict, compare
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.statistics import Interval, mean_interval, sign_flip_p_value
from agentgym.evaluation.tables import comparison_table

MakeEvaluation = Callable[..., Evaluation]

outcomes = st.lists(
    st.tuples(st.text("SFE", min_size=2, max_size=2), st.text("SFE", min_size=2, max_size=2)), min_size=1
)


def test_the_difference_is_taken_task_by_task(make_evaluation: MakeEvaluation) -> None:
    before = make_evaluation(["FF", "FS", "SS", "FF", "FF"])
    after = make_evaluation(["SS", "SS", "SF", "SF", "FF"])
    found = compare(before, after).difference
    changes = [1, 0.5, -0.5, 0.5, 0]
    assert found.estimate == pytest.approx(0.3)
    assert (found.low, found.high) == mean_interval(changes, Interval(-1, 1))
    assert found.p_value == sign_flip_p_value(changes)
    assert (found.tasks, found.pairs) == (5, 10)


def test_fixed_and_broken_tasks_are_listed(make_evaluation: MakeEvaluation) -> None:
    comparison = compare(make_evaluation(["FF", "SS", "SF", "FS"]), make_evaluation(["SF", "SF", "SF", "SF"]))
    assert comparison.fixed == ("task-0",)
    assert comparison.broken == ("task-1",)


def test_each_part_has_its_own_difference(make_evaluation: MakeEvaluation) -> None:
    comparison = compare(make_evaluation(["F", "F", "F", "S"]), make_evaluation(["S", "F", "S", "F"]))
    assert {name: part.estimate for name, part in comparison.groups.items()} == {"seen": 1, "unseen": -0.5}
    assert {name: part.estimate for name, part in comparison.task_types.items()} == {"find": 0, "put": 0.5}


def test_pairs_without_two_scores_are_left_out(make_evaluation: MakeEvaluation) -> None:
    comparison = compare(make_evaluation(["FE", "SS", "EF"]), make_evaluation(["SS", "SI", "SE"]))
    assert comparison.difference.estimate == 0.5  # task-0 rose, task-1 did not, task-2 has no pair
    assert (comparison.difference.tasks, comparison.difference.pairs, comparison.lost_pairs) == (2, 2, 4)
    assert (comparison.before_rate.estimate, comparison.after_rate.estimate) == (0.5, 1)


def test_no_pair_at_all_is_said(make_evaluation: MakeEvaluation) -> None:
    with pytest.raises(UsageError, match="None of the 2 pairs"):
        compare(make_evaluation(["E", "S"]), make_evaluation(["S", "I"]))


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (["F"] * 30, ["S"] * 20 + ["F"] * 10, Verdict.BETTER),
        (["S"] * 30, ["S"] * 10 + ["F"] * 20, Verdict.WORSE),
        (["F"] * 30, ["S"] * 2 + ["F"] * 28, Verdict.CANNOT_TELL),
        (["S", "F"] * 30, ["F", "S"] * 30, Verdict.CANNOT_TELL),
        (["S"] * 30, ["S"] * 30, Verdict.CANNOT_TELL),
        (["F"] * 3, ["S"] * 3, Verdict.CANNOT_TELL),
        (["F"], ["S"], Verdict.CANNOT_TELL),
    ],
)
def test_the_verdict(
    make_evaluation: MakeEvaluation, before: list[str], after: list[str], verdict: Verdict
) -> None:
    assert compare(make_evaluation(before), make_evaluation(after)).verdict == verdict


@given(outcomes)
def test_exchanging_the_sides_turns_everything_round(
    make_evaluation: MakeEvaluation, tasks: list[tuple[str, str]]
) -> None:
    sides = [make_evaluation([task[side] for task in tasks]) for side in (0, 1)]
    try:
        there = compare(*sides)
    except UsageError:
        with pytest.raises(UsageError, match="None of"):
            compare(sides[1], sides[0])
        return
    back = compare(sides[1], sides[0])
    assert back.difference.estimate == pytest.approx(-there.difference.estimate)
    assert (back.difference.low, back.difference.high) == pytest.approx(
        (-there.difference.high, -there.difference.low)
    )
    assert back.difference.p_value == there.difference.p_value
    assert (back.fixed, back.broken) == (there.broken, there.fixed)
    turned = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
    assert back.verdict == turned.get(there.verdict, Verdict.CANNOT_TELL)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env_id": "test/Other-v0"}, "env_id 'test/Test-v0' against 'test/Other-v0'"),
        ({"suite_version": "2"}, "suite_version '1' against '2'"),
        ({"split": "select"}, "split 'heldout' against 'select'"),
        ({"options": {"difficulty": "hard"}}, "options {} against {'difficulty': 'hard'}"),
        ({"max_turns": 30}, "max_turns 20 against 30"),
        ({"token_limit": 30}, "token_limit None against 30"),
        ({"time_limit": 1.5}, "time_limit None against 1.5"),
    ],
)
def test_evaluations_under_other_conditions_are_refused(
    make_evaluation: MakeEvaluation, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match="cannot be compared") as caught:
        compare(make_evaluation(["S"]), make_evaluation(["S"], **changes))
    assert message in str(caught.value)


def test_what_only_one_side_played_is_left_out_and_counted(make_evaluation: MakeEvaluation) -> None:
    many, few = make_evaluation(["F"] * 6), make_evaluation(["S"] * 2)
    for sides, rise in (((many, few), 1.0), ((few, many), -1.0)):
        found = compare(*sides)
        assert (found.difference.estimate, found.difference.tasks, found.unpaired) == (rise, 2, 4)
    found = compare(make_evaluation(["S", "F"]), make_evaluation(["SF", "SF"]))
    assert (found.difference.estimate, found.difference.pairs, found.unpaired) == (0.5, 2, 2)


def test_evaluations_without_a_task_in_common_are_refused(make_evaluation: MakeEvaluation) -> None:
    one = make_evaluation(["S"] * 4)
    first, second = (
        one.model_copy(update={"results": one.results[part]}) for part in (slice(1), slice(1, 4))
    )
    with pytest.raises(UsageError, match=r"no task in common: 1 task \(task-0\) against 3 tasks \(task-1, "):
        compare(first, second)


def test_it_is_told_what_would_tell(make_evaluation: MakeEvaluation) -> None:
    before = make_evaluation(["F", "S"] * 10)
    after = make_evaluation(["S", "S"] * 2 + ["F", "S"] * 8)
    found = compare(before, after)
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.difference.spread == pytest.approx(0.1 * 0.9 * 20 / 19)
    assert found.detectable is not None
    assert found.tasks_to_tell is not None
    assert found.detectable > 0.1
    assert found.tasks_to_tell > 20
    same = compare(before, before)
    assert same.tasks_to_tell is None
    assert same.detectable is not None
    assert same.detectable > same.difference.high, "a task or two may change unseen"
    alone = compare(make_evaluation(["F"]), make_evaluation(["S"]))
    assert (alone.tasks_to_tell, alone.detectable) == (None, None)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("task_key", "another", r"1 task \(task-1\) with other content"),
        ("seed", 5, r"1 task \(task-1\) with other seeds"),
    ],
)
def test_tasks_of_other_content_or_seed_are_refused(
    make_evaluation: MakeEvaluation, field: str, value: Any, message: str
) -> None:
    before = make_evaluation(["S", "S"])
    changed = before.results[1].model_copy(update={field: value})
    after = before.model_copy(update={"results": (before.results[0], changed)})
    with pytest.raises(UsageError, match=message):
        compare(before, after)


def test_the_table_and_json_hold_the_verdict_and_its_reasons(make_evaluation: MakeEvaluation) -> None:
    comparison = compare(
        make_evaluation(["F"] * 40, agent="old"), make_evaluation(["S"] * 30 + ["F"] * 10, agent="new")
    )
    console = Console(width=100)
    with console.capture() as capture:
        console.print(comparison_table(comparison))
    text = capture.get()
    for expected in ("old -> new", "+75.0 points", "< 0.001", "30 tasks fixed, 0 broken", "verdict: better"):
        assert expected in text
    assert Comparison.model_validate_json(comparison.model_dump_json()) == comparison
