"""What an agent or a world may write: shown as text, never run, and never on its way to anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from agentgym.core.trace import Outcome
from agentgym.serving.viewer.plain import SHOWN
from tests.serving.viewer.conftest import Tab
from tests.serving.viewer.stand import episode, make_run, served, task, turn

SCRIPT = "<script>window.pwned = 1</script><img src=x onerror='pwned=1'><a href=javascript:pwned=1>x</a>"
BREAKOUT = "\"'></textarea></pre></details><iframe src=http://example.com></iframe>{{ 7 * 7 }}{% raw %}"
TERMINAL = "\x1b]0;title\x07\x1b[2J\x00\x7f\x9b31m"
UNICODE = "\ud800 \u202ereversed\u202c \ufeff \U0001f600"
LONG = "x" * 1_000_000
RUN = "/runs/bad%20%26%20%22ugly%22/bad%20%26%20%22ugly%22"


@pytest.fixture
def hostile(root: Path) -> Path:
    texts = [SCRIPT, BREAKOUT, TERMINAL, UNICODE, LONG]
    turns = [turn(text, text, state=f"</summary>{SCRIPT}") for text in texts]
    turns.append(turn({"text": SCRIPT, SCRIPT: BREAKOUT}, SCRIPT, shown_items=(SCRIPT,)))
    name = 'bad & "ugly"'
    made = [
        episode(
            f"{SCRIPT}/{n}",
            turns,
            Outcome.FAILURE,
            group_id=SCRIPT,
            task=task(BREAKOUT),
            final_observation=LONG,
        )
        for n in range(2)
    ]
    lost = episode("lost", [], Outcome.ENV_ERROR, error=SCRIPT + TERMINAL, group_id="../../x")
    make_run(root, name, [*made, lost])
    return root


def test_pages_show_it_as_text(tab: Tab, hostile: Path) -> None:
    with served(hostile) as viewer:
        page = tab.open(viewer, "/")
        page.get_by_role("link", name='bad & "ugly"').click()
        expect(page.locator("main")).to_contain_text("<script>window.pwned = 1</script>")
        page.get_by_role("link", name="Browse").click()
        expect(page.locator("main")).to_contain_text(BREAKOUT[:20])
        page.locator("a.row").nth(1).click()
        shown = page.locator("#turn-0 .seen pre")
        assert shown.inner_text() == SCRIPT
        assert page.locator("#turn-1 .seen pre").inner_text() == BREAKOUT
        assert page.locator("#turn-2 .seen pre").inner_text() == "␛]0;title␇␛[2J␀␡⟨U+009B⟩31m"
        broken = page.locator("#turn-3 .seen pre").inner_text()
        assert broken == "⟨U+D800⟩ ⟨U+202E⟩reversed⟨U+202C⟩ ⟨U+FEFF⟩ \U0001f600"
        page.locator("#turn-5").get_by_text("Memory shown").wait_for()
        with page.expect_navigation():
            page.get_by_role("link", name="Its group side by side").click()
        assert page.locator("table.group thead th").count() == 3
        assert page.evaluate("window.pwned") is None
        assert tab.complaints == []
        assert all(url.startswith(viewer.url) for url in tab.requests)


def test_a_megabyte_is_cut_and_one_link_away(tab: Tab, hostile: Path) -> None:
    with served(hostile) as viewer:
        page = tab.open(viewer, f"{RUN}/episodes")
        with page.expect_navigation():
            page.locator("a.row").nth(1).click()
        assert len(page.content()) < 8 * SHOWN
        place = page.locator("#turn-4 .seen")
        place.locator("summary").click()
        assert len(place.locator("pre").inner_text()) == SHOWN
        whole = place.get_by_role("link", name="all of it as plain text").get_attribute("href")
        answer = page.request.get(f"{viewer.url}{whole}")
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.text() == LONG


def test_the_browser_itself_would_run_nothing_that_is_written_into_a_page(tab: Tab, hostile: Path) -> None:
    with served(hostile) as viewer:
        page = tab.open(viewer, "/")
        page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.pwned=1\">')"
        )
        assert (
            page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'answered', () => 'refused')") == "refused"
        )
        assert page.evaluate("window.pwned") is None
        assert any("Content Security Policy" in line for line in tab.complaints)
