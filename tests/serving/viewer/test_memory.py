"""The pages of memories: how one grew, what items are worth, where they come from, and who had them at hand."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from agentgym.cli.viewing import view
from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemKind, ItemStatus, Link, MemoryItem, Provenance, Relation, Source
from agentgym.core.task import Split
from agentgym.core.trace import Outcome
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import CheckRow, ExposureRow, OutcomeRow
from tests.serving.viewer.conftest import Tab
from tests.serving.viewer.stand import TOKEN, episode, make_run, served, turn

HOSTILE = "<script>document.title='owned'</script>\x1b[31m\u202e"
MEMORY = "/memory/tiny/library.sqlite"


def item(name: str, body: str = "Look twice.") -> MemoryItem:
    return MemoryItem(ItemKind.PRINCIPLE, name, f"when {name}", body, files={"notes/a.txt": b"\xff<b>"})


def fill(path: Path) -> dict[str, str]:
    """A memory in which `look` helps and `hurry` does not; 40 episodes in ten groups had both as candidates."""
    with MemoryStore(path) as store:
        look = store.put(item("look"), Provenance(sources=(Source("tiny/e/0", "key", Split.TRAIN),)))
        hurry = store.put(item("hurry"), Provenance(links=(Link(Relation.CONTEXT, look),)))
        better = store.put(item("look", "Look thrice."), Provenance(links=(Link(Relation.SUPERSEDES, look),)))
        odd = store.put(MemoryItem(ItemKind.CASE, HOSTILE, HOSTILE, HOSTILE))
        store.set_status(look, ItemStatus.ACTIVE, reason="the gate let it in", author="gate")
        log = EvidenceLog(store)
        log.add(
            [CheckRow(sha=look, check="replay", passed=True, score=0.5, n=8, report_json="{}", at="2030")]
        )
        for n in range(40):
            name, group = f"tiny/e/{n}", f"tiny/g{n // 4}"
            seen = {look: n % 2 == 0, hurry: n % 4 < (2 if n < 20 else 1)}
            log.add(
                [
                    *(
                        ExposureRow(
                            episode_id=name, sha=sha, group_id=group, snapshot="", rank=rank, similarity=1.0,
                            probability=0.5, shown=shown, used=None,
                        )
                        for rank, (sha, shown) in enumerate(seen.items())
                    ),
                    OutcomeRow(
                        episode_id=name, group_id=group, task_family="f", policy="0", reward=float(seen[look]),
                        verifier="v", verified=True, tokens=1, steps=1, at=f"2030-01-01T00:00:{n:02d}",
                    ),
                ]
            )  # fmt: skip
    return {"look": look, "hurry": hurry, "better": better, "odd": odd}


@pytest.fixture
def versions(root: Path) -> dict[str, str]:
    """A run with two of these episodes, and its memory beside it."""
    folder = make_run(root, "tiny", [])
    shown = fill(folder / "library.sqlite")
    shutil.rmtree(folder)
    first = turn(
        "A wall.",
        "look",
        shown_items=(shown["look"], shown["hurry"]),
        withheld_items=(shown["better"], "f" * 40),
    )
    second = turn("A wall.", "push", shown_items=())
    folder = make_run(
        root, "tiny", [episode("e/0", [first], Outcome.SUCCESS), episode("e/3", [second], Outcome.FAILURE)]
    )
    return fill(folder / "library.sqlite")


def test_a_memory_tells_what_it_holds_and_what_that_is_worth(
    tab: Tab, root: Path, versions: dict[str, str]
) -> None:
    with served(root) as viewer:
        page = tab.open(viewer, "/memory")
        page.get_by_role("link", name="library.sqlite").click()
        rows = page.locator("tbody tr")
        expect(rows).to_have_count(4)
        assert re.search(
            r"look\s+principle\s+active\s+\+0\.\d\d \(\+0\.\d\d to \+0\.\d\d\)", rows.nth(0).inner_text()
        )
        expect(rows.filter(has_text="hurry").locator("svg")).to_have_attribute(
            "aria-label", re.compile(r"interval .0\.\d\d to \+0\.\d\d")
        )
        expect(page.locator(".heading")).to_contain_text("active 1")
        image = page.locator("figure img")
        assert image.evaluate("one => one.decode().then(() => one.naturalWidth)") > 0
        page.get_by_label("Status").select_option("candidate")
        page.get_by_label("Name").fill("LOOK")
        page.get_by_role("button", name="Search").click()
        expect(rows).to_have_count(1)
        assert page.title() != "owned"
    assert tab.complaints == []


def test_an_item_has_a_history_relatives_and_episodes(tab: Tab, root: Path, versions: dict[str, str]) -> None:
    with served(root) as viewer:
        page = tab.open(viewer, f"{MEMORY}/items/{versions['look']}")
        figures = page.locator("dl.figures").inner_text()
        assert re.search(r"shown in\s+20 episodes\s+mean reward 1\s", figures)
        assert re.search(r"withheld in\s+20 episodes\s+mean reward 0\s", figures)
        expect(page.get_by_text("the gate let it in")).to_be_visible()
        expect(page.get_by_text("replay")).to_be_visible()
        assert sorted(page.locator(".lineage text").all_text_contents()) == ["hurry", "look", "look"]
        related = page.locator(".relations li").all_inner_texts()
        assert sorted(related) == ["hurry written in view of look", "look supersedes look"]
        expect(page.locator("table.rows tbody tr")).to_have_count(40)
        expect(page.locator("table.rows").get_by_text("withheld")).to_have_count(20)
        page.locator(".lineage a").nth(1).press("Enter")
        expect(page.locator("h1")).to_have_text(re.compile("hurry|look"))
        page.go_back()
        page.locator("table.rows a", has_text="tiny/e/3").first.click()
        expect(page.locator("h1")).to_have_text("e/3")
        at_hand = page.locator(".at-hand li").all_inner_texts()
        assert [one.split() for one in at_hand] == [
            ["withheld", "look", "drawn", "with", "chance", "50.0%"],
            ["withheld", "hurry", "drawn", "with", "chance", "50.0%"],
        ]
        tab.open(viewer, "/runs/tiny/tiny/episodes/e/0")
        expect(page.locator("#turn-0 .memory")).to_have_text(
            ["Memory shown: look hurry", f"Memory withheld by lot: look {'f' * 40}"]
        )
        assert sorted(page.locator(".at-hand .pill").all_inner_texts()) == ["shown", "shown", "withheld"]
        page.locator("#turn-0 .memory a", has_text="look").first.click()
        assert page.url.endswith(versions["look"])
        tab.open(viewer, f"{MEMORY}/items/{versions['odd']}")
        expect(page.locator("h1")).to_contain_text("<script>")
        expect(page.locator("pre.text").first).to_contain_text("\u241b[31m")
        assert page.title() != "owned"
    assert tab.complaints == []
    assert all(request.startswith(viewer.url) for request in tab.requests)


def test_what_is_written_later_is_there_on_the_next_page(
    tab: Tab, root: Path, versions: dict[str, str]
) -> None:
    path = root / "tiny" / "library.sqlite"
    with served(root) as viewer:
        page = tab.open(viewer, MEMORY)
        with MemoryStore(path) as store:
            store.put(item("later"))
        page.reload()
        expect(page.locator("tbody tr")).to_have_count(5)
        path.unlink()
        assert page.reload() is not None
        expect(page.locator("h1")).to_have_text("There is nothing here")


def test_a_memory_in_no_run_is_shown_and_no_path_can_be_asked_for(
    tab: Tab, root: Path, tmp_path: Path
) -> None:
    root.mkdir()
    versions = fill(tmp_path / "mine.db")
    with served(root, memory=str(tmp_path / "mine.db")) as viewer:
        page = tab.open(viewer, "/memory/-/mine.db")
        expect(page.locator("tbody tr")).to_have_count(4)
        page.goto(f"{viewer.url}/memory/-/mine.db/items/{versions['look']}")
        expect(page.locator("table.rows tbody tr")).to_have_count(40)
        for path in ("/memory/..%2f/mine.db", "/memory/-/..%2fmine.db", "/memory/-/mine.db/items/nothing"):
            answer = page.goto(f"{viewer.url}{path}?token={TOKEN}")
            assert answer is not None
            assert answer.status in (400, 404)


def test_a_path_without_a_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no memory at"):
        view(runs=tmp_path, memory=str(tmp_path / "none.db"))
