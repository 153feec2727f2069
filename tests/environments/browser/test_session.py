"""The browser is a real one: Chromium, against a real server."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agentgym.core.errors import EnvironmentFault, UsageError
from agentgym.environments.browser.chromium import VARIABLE, find_chromium
from agentgym.environments.browser.egress import Egress
from agentgym.environments.browser.service import browser_service
from agentgym.environments.browser.session import BrowserSession, Done
from tests.environments.browser.site import serve
from tests.waiting import eventually


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with serve() as address:
        yield address


@pytest.fixture
def browser(site: str) -> Iterator[BrowserSession]:
    with BrowserSession(Egress(site), timeout_s=60.0) as session:
        session.open("/")
        yield session


@pytest.fixture
def hasty(site: str) -> Iterator[BrowserSession]:
    """Does not wait long once the page is there."""
    with BrowserSession(Egress(site), timeout_s=60.0) as session:
        session.open("/")
        session.timeout_s = 4.0
        yield session


def act(browser: BrowserSession, verb: str, name: str, *more: str) -> Done:
    """Act on the element that is called `name`."""
    elements = browser.look().elements
    (number,) = [
        n for n, element in elements.items() if element.name == name and element.role != "StaticText"
    ]
    return browser.act(f"{verb}({', '.join([str(number), *map(repr, more)])})")


def title(browser: BrowserSession) -> str:
    return browser.look().text.splitlines()[0]


def test_a_page_is_shown_as_its_accessibility_tree(browser: BrowserSession) -> None:
    lines = browser.look().text.splitlines()
    assert lines[:3] == ["Page 'Start' at /", "[1] heading 'Welcome'", "[2] link 'two'"]
    assert "[7] textbox 'Query'" in lines
    assert "[9] combobox 'Colour', value='red', expanded=false" in lines
    assert any(line.endswith("button 'off', disabled") for line in lines)
    assert browser.look().text == "\n".join(lines)


def test_links_forms_and_history(browser: BrowserSession) -> None:
    assert act(browser, "click", "two") == Done(True)
    assert title(browser) == "Page 'Page /two' at /two"
    assert browser.act("go_back()") == Done(True)
    assert act(browser, "fill", "Query", "green tea") == Done(True)
    assert "textbox 'Query', value='green tea', focused" in browser.look().text
    assert act(browser, "press", "Query", "Enter") == Done(True)
    assert "StaticText 'q=green+tea'" in browser.look().text
    assert browser.act("go_back()").valid
    assert browser.act("go_back()") == Done(False, ("There is no page to go back to.",))
    assert browser.act("go_forward()").valid
    assert browser.act('goto("/three")') == Done(True)
    assert title(browser) == "Page 'Page /three' at /three"


def test_lists_and_dates(browser: BrowserSession) -> None:
    assert act(browser, "select_option", "Colour", "sea green") == Done(True)
    assert title(browser) == "Page 'sea green' at /"
    assert act(browser, "select_option", "Colour", "sea gren").notes == (
        "Element 9 has no option 'sea gren'. Did you mean 'sea green'? It has: red, sea green.",
    )
    assert act(browser, "fill", "Day", "2026-02-03") == Done(True)
    assert title(browser) == "Page '2026-02-03' at /"
    assert "is a field for a date" in act(browser, "fill", "Day", "tomorrow").notes[0]


def test_far_elements_are_brought_into_view_and_points_hit(browser: BrowserSession) -> None:
    assert act(browser, "click", "far") == Done(True)
    assert title(browser) == "Page 'reached' at /"
    assert browser.act("scroll(0, -9999)") == Done(True)
    assert not browser.act("scroll(0, -1)").valid
    box = browser.evaluate("() => document.querySelector('a').getBoundingClientRect().toJSON()")
    assert browser.act(f"mouse_click({box['left'] + 2:.0f}, {box['top'] + 2:.0f})") == Done(True)
    assert title(browser) == "Page 'Page /two' at /two"
    assert "is off the page" in browser.act("mouse_click(5000, 1)").notes[0]


def test_what_cannot_be_done_is_told(browser: BrowserSession) -> None:
    assert "is disabled" in act(browser, "click", "off").notes[0]
    assert "is covered by div 'over'" in act(browser, "click", "under").notes[0]
    assert browser.act("click(99)").notes[0].startswith("There is no element 99 on the page; it shows 1 to ")
    assert "is no field to fill" in act(browser, "fill", "two", "x").notes[0]
    assert "at most 4096 can be typed" in act(browser, "fill", "Query", "x" * 5000).notes[0]
    assert (
        browser.act(f'fill(7, "{"x" * 1_000_000}")').notes[0].startswith("The action has 1000011 characters")
    )
    browser.look()
    gone = next(n for n, element in browser.look().elements.items() if element.name == "remove")
    assert browser.act(f"click({gone})") == Done(True)
    assert browser.act(f"click({gone})") == Done(
        False, (f"What click({gone}) means is no longer on the page.",)
    )


def test_nothing_else_can_be_reached(browser: BrowserSession, site: str) -> None:
    blocked = ("Blocked: http://127.0.0.1:9/ is outside this site, the only place to go.",)
    assert act(browser, "click", "outside") == Done(True, blocked)
    assert act(browser, "click", "fetch") == Done(True, blocked)
    assert title(browser) == "Page 'fetch failed' at /"
    assert act(browser, "click", "fetch many").notes == (
        *(f"Blocked: http://127.0.0.1:9/{n} is outside this site, the only place to go." for n in range(5)),
        "And 25 more like these.",
    )
    for address in ("http://example.com/", "file:///etc/passwd", "javascript:alert(1)", "chrome://version"):
        assert "is outside this site" in browser.act(f'goto("{address}")').notes[0]
    assert browser.act(f'goto("{site}two")').valid


def test_no_byte_reaches_another_server(browser: BrowserSession) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.2)
        place = f"127.0.0.1:{other.getsockname()[1]}"
        failed = browser.evaluate(
            """async place => {
              const socket = new Promise(done => new WebSocket(`ws://${place}/`).onerror = () => done("socket"));
              const image = new Promise(done => Object.assign(new Image(), {onerror: () => done("image"), src: `http://${place}/`}));
              const beacon = navigator.sendBeacon(`http://${place}/`) && "beacon";
              return Promise.all([socket, image, beacon]);
            }""",
            place,
        )
        assert failed == ["socket", "image", "beacon"]
        with pytest.raises(TimeoutError):
            other.accept()


def test_dialogs_downloads_and_tabs(browser: BrowserSession) -> None:
    notes = act(browser, "click", "dialogs").notes
    assert notes == (
        "The page showed a dialog (alert), which was accepted: 'careful'.",
        "The page showed a dialog (confirm), which was dismissed: 'sure?'.",
    )
    assert title(browser) == "Page 'false' at /"
    refused = list(act(browser, "click", "file").notes)
    while not refused:  # the browser may find out a moment later
        refused += browser.act("noop()").notes
    assert refused == ["A download was refused: 'report.txt'."]
    assert act(browser, "click", "tab").notes == ("A new tab was opened, tab 1.",)
    assert browser.look().text.splitlines()[:3] == [
        "Tab 0: /",
        "Tab 1 (current): /two",
        "Page 'Page /two' at /two",
    ]
    assert browser.act("tab_focus(0)") == Done(True)
    assert title(browser) == "Tab 0 (current): /"
    assert browser.act("tab_close()") == Done(True)
    assert title(browser) == "Page 'Page /two' at /two"
    assert browser.act("new_tab()").valid
    assert act(browser, "click", "shut").notes == ("The page closed its tab.",)
    assert browser.act("tab_close()").notes == ("No tab was left; a new one was opened.",)
    assert title(browser) == "Page 'Start' at /"


def test_endless_scripts_are_ended(hasty: BrowserSession) -> None:
    ended = "The page did not answer within 4 s; what its script did was ended."
    assert act(hasty, "click", "hang") == Done(True, (ended,))
    nagged = act(hasty, "click", "nag").notes
    assert nagged[0] == "The page showed a dialog (alert), which was accepted: 'again'."
    assert nagged[1].startswith("The page did not answer within 4 s;")
    assert title(hasty) == "Page 'Start' at /"


def test_slow_pages_are_stopped(hasty: BrowserSession) -> None:
    assert act(hasty, "click", "slow").notes == (
        "The page was still loading after 2.4 s; loading was stopped.",
    )
    assert title(hasty) == "Page 'Start' at /"


def test_long_pages_are_cut(browser: BrowserSession) -> None:
    browser.open("/long")
    assert len(browser.look().text) < 1000
    browser.open("/")
    browser.page_chars = 100
    assert "more, left out: the page is too long." in browser.look().text


def test_a_renewed_window_is_as_new(browser: BrowserSession) -> None:
    act(browser, "click", "keep")
    act(browser, "click", "tab")
    assert browser.cookies()
    browser.renew()
    browser.open("/")
    assert browser.cookies() == []
    assert browser.evaluate("() => [localStorage.x ?? null, sessionStorage.x ?? null]") == [None, None]
    assert not browser.act("go_back()").valid
    assert title(browser) == "Page 'Start' at /"


def test_no_button_is_held_down_when_a_page_is_opened(browser: BrowserSession) -> None:
    script = "window.held = []; addEventListener('mousemove', event => held.push(event.buttons))"
    assert browser.act("mouse_down(5, 5)").valid
    browser.open("/")
    browser.evaluate(script)
    assert browser.act("mouse_move(9, 9)").valid
    assert browser.evaluate("held") == [0]


def test_windows_are_apart_and_screenshots_are_pictures(browser: BrowserSession, site: str) -> None:
    act(browser, "click", "keep")
    with BrowserSession(Egress(site), size=(320, 200)) as other:
        other.open("/")
        assert other.cookies() == []
        picture = other.screenshot()
        assert (picture.shape, str(picture.dtype)) == ((200, 320, 3), "uint8")
        assert 0 < picture.mean() < 255


def test_files_can_be_the_world(tmp_path: Path) -> None:
    world = tmp_path / "world"
    world.mkdir()
    (tmp_path / "other.html").write_text("other")
    (world / "page.html").write_text('<title>P</title><a href="../other.html">up</a>')
    with BrowserSession(Egress.below(world)) as browser:
        browser.open("/page.html")
        assert browser.look().text == "Page 'P' at /page.html\n[1] link 'up'"
        assert "outside this site" in browser.act("click(1)").notes[0]
        assert browser.look().address == "/page.html"


def test_a_crashed_page_or_browser_is_a_fault_and_is_replaced(site: str) -> None:
    starts = browser_service().starts
    with BrowserSession(Egress(site)) as browser:
        browser.open("/")
        with pytest.raises(EnvironmentFault):
            browser.open("chrome://crash")
        browser.open("/")  # another window
        assert title(browser) == "Page 'Start' at /"
        (main,) = [
            pid for pid, command in descendants().items() if "--type=" not in command and "chrom" in command
        ]
        os.kill(main, signal.SIGKILL)
        with pytest.raises(EnvironmentFault):
            browser.look()
        browser.open("/")
        assert title(browser) == "Page 'Start' at /"
    assert browser_service().starts == starts + 1


def zombies() -> list[int]:
    """Processes below this one that have ended and that nobody has asked about yet."""
    found: list[int] = []
    for pid in descendants():
        with suppress(OSError):  # gone in between
            found += [pid] if _stat(pid)[0] == "Z" else []
    return found


def test_many_sessions_leave_nothing_behind(site: str) -> None:
    def play() -> None:
        with BrowserSession(Egress(site), size=(200, 150)) as browser:
            browser.open("/")
            act(browser, "click", "tab")

    play()
    before = len(descendants())
    for _ in range(6):
        play()
    # Chromium takes its time to end what showed a page.
    assert eventually(lambda: len(descendants()) <= before + 1 and not zombies())


def test_a_missing_chromium_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/no/such/browser")
    with pytest.raises(UsageError, match=r"AGENTGYM_CHROMIUM names '/no/such/browser', which is no program"):
        find_chromium()
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="apt install chromium"):
        find_chromium()


def test_a_world_is_below_a_folder() -> None:
    with pytest.raises(UsageError, match="ends with '/'"):
        Egress("http://127.0.0.1:80")


def descendants() -> dict[int, str]:
    """The processes below this one, with their command lines."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(_stat(int(folder.name))[1])
        except OSError:  # ended meanwhile
            continue
    found: dict[int, str] = {}
    for pid in parents:
        above = pid
        while above in parents and above != os.getpid():
            above = parents[above]
        if above == os.getpid() and pid != above:
            try:
                found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
    return found


def _stat(pid: int) -> list[str]:
    """State and parent of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
