"""Every page, in light and dark, by axe's rules: contrast, labels, names, headings, what the keyboard reaches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # pyright: ignore[reportMissingTypeStubs]
from playwright.sync_api import Browser

from agentgym.serving.viewer.server import Viewer
from tests.serving.viewer.stand import good_and_bad, make_run, served
from tests.serving.viewer.test_memory import fill

RUN = "/runs/tiny/tiny"
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    """A viewer over a run with a memory."""
    root = tmp_path_factory.mktemp("runs")
    folder = make_run(root, "tiny", good_and_bad())
    fill(folder / "library.sqlite")
    with served(root) as viewer:
        yield viewer


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_keep_the_rules(full: Viewer, browser: Browser, scheme: Literal["light", "dark"]) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(full.link())
    memory = "/memory/tiny/library.sqlite"
    page.goto(full.url + memory)
    item = page.locator("tbody a").first.get_attribute("href")
    paths = [
        "/",
        RUN,
        f"{RUN}/episodes",
        f"{RUN}/episodes/e/good",
        f"{RUN}/episodes/e/lost",
        f"{RUN}/groups/g",
    ]
    for path in [*paths, "/compare", "/memory", memory, str(item), "/no/page"]:
        page.goto(full.url + path)
        for folded in page.locator("details").all():
            folded.evaluate("one => { one.open = true; }")
        axe: Any = Axe()
        found: list[dict[str, Any]] = axe.run(page, options=RULES).response["violations"]
        told = [
            f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
            for one in found
            for node in one["nodes"][:3]
        ]
        assert told == [], (scheme, path)
    context.close()
