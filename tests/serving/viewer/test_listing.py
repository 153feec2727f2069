"""Lists of episodes: every one on one page, in order, found by index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentgym.core.errors import UsageError
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Outcome
from agentgym.serving.viewer import listing
from agentgym.serving.viewer.library import Library
from agentgym.serving.viewer.listing import PAGE, Search, find_episodes
from tests.serving.viewer.stand import episode, make_run, task, turn

COUNT = 2 * PAGE + 7


@pytest.fixture
def library(root: Path) -> Iterator[Library]:
    """Every third episode solved its task, every tenth met a fault, number 3 used a tool."""
    made = [
        episode(
            f"e{n}",
            [turn("", ToolCall("buy", {"what": "50%"}, "1") if n == 3 else f"go {n}")],
            Outcome.ENV_ERROR if n % 10 == 0 else Outcome.SUCCESS if n % 3 == 0 else Outcome.FAILURE,
            error=f"fault {n}" if n % 10 == 0 else None,
            task=task(f"kind_{n % 4}"),
        )
        for n in range(COUNT)
    ]
    make_run(root, "tiny", made)
    library = Library(root)
    yield library
    library.close()


def found(library: Library, search: Search) -> list[int]:
    """The numbers of all that match, page by page."""
    numbers: list[int] = []
    while True:
        with library.reading("tiny") as connection:
            page = find_episodes(connection, "tiny", search)
        numbers += [int(row["id"][1:]) for row in page.episodes]
        if page.more is None:
            return numbers
        search = Search.from_query(search.query(page.more))


def test_pages_together_are_everything_once_newest_first(library: Library) -> None:
    assert found(library, Search()) == list(range(COUNT))[::-1]


def test_filters_narrow_and_combine(library: Library) -> None:
    newest_first = list(range(COUNT))[::-1]
    faults = [n for n in newest_first if n % 10 == 0]
    assert found(library, Search(outcome="env_error")) == faults
    assert found(library, Search(error="*")) == faults
    assert found(library, Search(error="fault 10")) == [100, 10]
    assert found(library, Search(task="kind_2", error="*")) == [n for n in faults if n % 4 == 2]
    assert found(library, Search(phase="train", action="go 1")) == [
        n for n in newest_first if str(n)[0] == "1"
    ]
    assert found(library, Search(phase="eval")) == []


def test_what_is_typed_is_text_and_no_pattern(library: Library) -> None:
    assert found(library, Search(action="50%")) == [3]
    assert found(library, Search(action="buy")) == [3]
    assert found(library, Search(action="g%")) == []
    assert found(library, Search(task="kind-2")) == []
    assert found(library, Search(outcome="' OR 1=1 --")) == []


def test_a_long_search_goes_on_where_it_stopped(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "STRETCH", 20)
    with library.reading("tiny") as connection:
        page = find_episodes(connection, "tiny", Search(action="buy"), patience_s=0)
    assert (list(page.episodes), page.unfinished) == ([], True)
    assert found(library, Search(action="buy")) == [3]


@pytest.mark.parametrize("before", ["-1", "x", "1e3", "\u0663", "9" * 19])
def test_a_place_that_is_none_is_refused(before: str) -> None:
    with pytest.raises(UsageError, match="number of an episode"):
        Search.from_query({"before": before})


@pytest.mark.parametrize(
    ("search", "index"),
    [
        (Search(outcome="success", task="x"), "episodes_in_order"),
        (Search(error="x"), "episodes_with_error"),
        (Search(action="x"), "turns_by_action"),
    ],
)
def test_no_search_reads_rows_that_it_does_not_show(library: Library, search: Search, index: str) -> None:
    values = {"run": "tiny", "limit": 1, "floor": 0, **listing.values_of(search)}
    with library.reading("tiny") as connection:
        plan = connection.execute(listing.text(f"EXPLAIN QUERY PLAN {listing.statement_of(search)}"), values)
        steps = [row[-1] for row in plan]
    assert any(index in step for step in steps)
    assert not any("SCAN" in step or "TEMP B-TREE" in step for step in steps)
    assert all("COVERING INDEX" in step for step in steps if "error" not in index and "SEARCH" in step)
