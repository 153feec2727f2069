"""Boards: who stands on which, in which order, and what names may contain."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agentgym.core.errors import UsageError
from agentgym.core.task import Split
from agentgym.evaluation.boards import boards_page, boards_table, cells
from agentgym.evaluation.compare import Verdict
from agentgym.evaluation.leaderboard import leaderboard
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.runs import Arguments, EvaluationRun

MakeEvaluation = Callable[..., Evaluation]
HOSTILE = "<script>alert(1)</script>[bold]&\x1b[31m"


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., None]:
    def keep(name: str, **evaluations: Evaluation) -> None:
        arguments = Arguments(env_id="test/Test-v0", split=Split.HELDOUT, policy="p")
        run = EvaluationRun.create(arguments, tmp_path, name, versions={})
        for part, evaluation in evaluations.items():
            run.keep(evaluation, part)

    return keep


class Elements(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.text = list[str](), ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_runs_are_ranked_within_their_conditions(
    keep: Callable[..., None], make_evaluation: MakeEvaluation, tmp_path: Path
) -> None:
    good, bad = ["S"] * 40, ["S"] * 4 + ["F"] * 36
    keep("weak", evaluation=make_evaluation(bad, agent="weak"))
    keep("strong", evaluation=make_evaluation(good, agent="strong"))
    keep("even", evaluation=make_evaluation(["F", *good[1:]], agent="even"))
    keep("hurried", evaluation=make_evaluation(good, agent="hurried", max_turns=5))
    keep("learner", before=make_evaluation(["F"]), after=make_evaluation(["S"], split="select"))
    boards = leaderboard(tmp_path)
    assert [[entry.run for entry in board.entries] for board in boards] == [
        ["strong", "even", "weak", "learner:before"],
        ["hurried"],
        ["learner:after"],
    ]
    assert [entry.beside_best for entry in boards[0].entries] == [
        None,
        Verdict.CANNOT_TELL,
        Verdict.WORSE,
        Verdict.CANNOT_TELL,
    ]
    assert [entry.places for entry in boards[0].entries] == [(1, 3), (1, 3), (3, 4), (1, 4)]
    assert cells(boards[0].entries[0])[:2] == ("1\N{EN DASH}3", "strong")
    assert boards[1].entries[0].places == (1, 1)
    assert boards[0].entries[0].success.estimate == 1.0
    assert [board.split for board in leaderboard(tmp_path, split="select")] == ["select"]


def test_other_seeds_cannot_be_paired_and_say_so(
    keep: Callable[..., None], make_evaluation: MakeEvaluation, tmp_path: Path
) -> None:
    evaluation = make_evaluation(["S"] * 10)
    others = tuple(result.model_copy(update={"seed": result.seed + 1}) for result in evaluation.results)
    keep("one", evaluation=evaluation)
    keep("two", evaluation=evaluation.model_copy(update={"results": others}))
    (board,) = leaderboard(tmp_path)
    assert [entry.beside_best for entry in board.entries] == [None, None]
    assert [cells(entry)[-1] for entry in board.entries] == ["", "not paired"]
    assert [entry.places for entry in board.entries] == [(1, 2), (1, 2)]


def test_another_judge_has_a_board_of_its_own(
    keep: Callable[..., None], make_evaluation: MakeEvaluation, tmp_path: Path
) -> None:
    lenient = make_evaluation(["S"], scorer="mine:lenient")
    keep("run", evaluation=make_evaluation(["F"]), rescored=lenient)
    boards = leaderboard(tmp_path)
    assert [[entry.run for entry in board.entries] for board in boards] == [
        ["run:evaluation"],
        ["run:rescored"],
    ]
    assert boards[1].conditions.endswith("; judged by mine:lenient")


def test_names_are_text_on_the_page_and_in_the_terminal(
    keep: Callable[..., None], make_evaluation: MakeEvaluation, tmp_path: Path
) -> None:
    keep(
        "run", evaluation=make_evaluation(["SF", "SS"], agent=HOSTILE, options={"x": HOSTILE}, env_id=HOSTILE)
    )
    boards = leaderboard(tmp_path)
    elements = Elements(boards_page(boards))
    assert "script" not in elements.tags
    assert elements.text.count("<script>alert(1)</script>[bold]&") == 3
    assert {"table", "svg", "main"} <= set(elements.tags)
    console = Console(width=200)
    with console.capture() as capture:
        console.print(boards_table(boards))
    assert "<script>alert(1)</script>[bold]&" in capture.get()
    assert "\x1b[31m" not in capture.get()
    assert "50.0% (k = 2)" in capture.get()


def test_a_run_that_cannot_be_read_does_not_hide_the_others(
    keep: Callable[..., None], make_evaluation: MakeEvaluation, tmp_path: Path
) -> None:
    keep("good", evaluation=make_evaluation(["S"]))
    keep("newer", evaluation=make_evaluation(["S"]))
    with closing(sqlite3.connect(tmp_path / "newer" / "store.sqlite")) as connection:
        connection.execute("PRAGMA user_version=999")
    told = list[str]()
    (board,) = leaderboard(tmp_path, on_unreadable=told.append)
    assert [entry.run for entry in board.entries] == ["good"]
    assert [("newer" in why, "schema version 999" in why) for why in told] == [(True, True)]


def test_without_evaluations_there_is_no_board(
    keep: Callable[..., None], make_evaluation: MakeEvaluation, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"play one with `agentgym eval`"):
        leaderboard(tmp_path)
    keep("run", evaluation=make_evaluation(["E"]))
    with pytest.raises(UsageError, match=r"No run in"):
        leaderboard(tmp_path)
