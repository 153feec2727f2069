"""The pages over evaluations: two of them side by side, all of them ranked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from agentgym.core.task import Split
from agentgym.core.trace import Outcome
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.results import EpisodeResult
from agentgym.serving.viewer.server import Viewer
from agentgym.store.store import Store
from tests.serving.viewer.conftest import Tab
from tests.serving.viewer.stand import episode, make_run, served, task, turn


def make_evaluation(root: Path, name: str, solved: str) -> None:
    """Write an evaluation run over a task for each letter of `solved`, S where it was solved."""
    episodes = [
        episode(
            f"{n}",
            [turn("see", "do", float(one == "S"))],
            outcome,
            task=replace(task(f"task-{n}"), difficulty=hard),
        )
        for n, one in enumerate(solved)
        for outcome in [Outcome.SUCCESS if one == "S" else Outcome.FAILURE]
        for hard in ["hard" if n < 4 else "easy"]
    ]
    evaluation = Evaluation(
        env_id="test/Test-v0",
        suite="tests",
        suite_version="1",
        split=Split.HELDOUT,
        agent=name,
        seed=0,
        samples=1,
        max_turns=5,
        options={},
        created="2026-01-01T00:00:00",
        results=tuple(EpisodeResult.from_episode(one, 0) for one in episodes),
    )
    folder = make_run(root, name, episodes, iterations=0)
    (folder / "recipe.toml").unlink()
    evaluation.save(folder / "evaluation.json")
    with Store(folder / "store.sqlite") as store:
        store.add_evaluation(name, 0, "evaluation", evaluation.to_json())


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    root = tmp_path_factory.mktemp("evaluated")
    make_evaluation(root, "old", "FFFFSSFF")
    make_evaluation(root, "new", "SSSFSFFF")
    make_run(root, "training", [])
    with served(root) as viewer:
        yield viewer


def test_the_page_of_an_evaluation_tells_what_came_of_it(tab: Tab, evaluated: Viewer) -> None:
    page = tab.open(evaluated, "/runs/old/old")
    tiles = page.locator("dl.figures > div").all_inner_texts()
    assert [tile.split() for tile in tiles] == [
        ["success", "25.0%", "5.2%", "to", "67.0%"],
        ["tasks", "8", "8", "episodes"],
        ["turns", "1", "an", "episode"],
        ["tokens", "sampled", "2", "an", "episode"],
        ["invalid", "actions", "0.0%", "of", "the", "turns"],
        ["without", "a", "score", "0", "left", "out"],
    ]
    parts = [row.split() for row in page.locator("section.card tr.dim").all_inner_texts()]
    assert [(part[0], part[1], part[-1]) for part in parts] == [("easy", "50.0%", "4"), ("hard", "0.0%", "4")]


def test_two_evaluations_are_compared_task_by_task(tab: Tab, evaluated: Viewer) -> None:
    page = tab.open(evaluated, "/compare")
    page.get_by_label("Before").select_option("old")
    page.get_by_label("After").select_option("new")
    with page.expect_navigation():
        page.get_by_role("button", name="Compare").click()
    expect(page.locator(".verdict")).to_contain_text("cannot tell 25.0% before, 50.0% after: +25.0 points")
    fixed, broken = page.locator(".columns section").all()
    assert fixed.locator("tbody th").all_inner_texts() == ["task-0", "task-1", "task-2"]
    assert broken.locator("tbody tr").all_inner_texts() == ["task-5\tsuccess\tfailure"]
    with page.expect_navigation():
        broken.get_by_role("link", name="failure").click()
    assert page.url.endswith("/runs/new/new/episodes/5")
    expect(page.locator("article")).to_contain_text("see")
    assert tab.complaints == []


def test_what_cannot_be_compared_is_told_beside_the_choice(tab: Tab, evaluated: Viewer) -> None:
    page = tab.page
    page.goto(evaluated.link("/"))
    answer = page.goto(f"{evaluated.url}/compare?before=old&after=training")
    assert answer is not None
    assert answer.status == 400
    expect(page.locator(".problem")).to_contain_text("Unknown evaluation 'training'")
    assert page.get_by_label("Before").input_value() == "old"


def test_evaluations_are_ranked_and_lead_to_the_comparison(tab: Tab, evaluated: Viewer) -> None:
    page = tab.open(evaluated, "/leaderboard")
    assert page.locator("tbody th").all_inner_texts() == ["new", "old"]
    page.get_by_role("link", name="compare with the best").click()
    expect(page.locator(".verdict")).to_contain_text("+25.0 points")
    assert tab.complaints == []


def test_a_run_lists_its_evaluations(tab: Tab, evaluated: Viewer) -> None:
    page = tab.open(evaluated, "/runs/new/new")
    row = page.locator("section", has=page.get_by_role("heading", name="Evaluations")).locator("tbody tr")
    assert "50.0%" in row.locator("td").all_inner_texts()
    assert tab.complaints == []
