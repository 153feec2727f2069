"""A browser, and a viewer over runs that no test changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from agentgym.environments.browser.chromium import ARGUMENTS, find_chromium
from agentgym.serving.viewer.server import Viewer
from tests.serving.viewer.stand import good_and_bad, make_run, served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For one module: while Playwright runs, no other test of this process can run an event loop."""
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    root = tmp_path_factory.mktemp("runs")
    make_run(root, "tiny", good_and_bad())
    with served(root) as viewer:
        yield viewer


class Tab:
    """A page of the browser that keeps account of what it asked for and complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, viewer: Viewer, path: str) -> Page:
        """Open a page with the token, and see that it is there."""
        answer = self.page.goto(viewer.link(path))
        assert answer is not None
        assert answer.status == 200, self.page.inner_text("main")
        return self.page


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    context = browser.new_context()
    context.set_default_timeout(60_000)
    try:
        yield Tab(context.new_page())
    finally:
        context.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"
