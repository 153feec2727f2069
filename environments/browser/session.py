"""A window of the browser as worlds use it: open a page, act on it, look at it; blocking calls from any thread.

    with BrowserSession(Egress.below(folder)) as browser:
        browser.open("/index.html")
        done = browser.act('click(3)')
        print(browser.look().text)

What an agent's action meets (a missing element, a dialog, an endless script) is told in words. What is nobody's
doing (the browser dies or hangs for good) raises `EnvironmentFault`, and the next session has a new browser.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Error as PlaywrightError

from agentgym.core.errors import EnvironmentFault
from agentgym.environments.browser.egress import Egress
from agentgym.environments.browser.gestures import Impossible, perform
from agentgym.environments.browser.grammar import BadAction, Call, parse
from agentgym.environments.browser.service import START_S, Size, browser_service
from agentgym.environments.browser.tab import Gone
from agentgym.environments.browser.tree import Element
from agentgym.environments.browser.window import Window

_T = TypeVar("_T")
_RECOVERY_S = 10.0
"""What it may take beyond an action's time to end an endless script, or to put a new tab in place of a dead one."""
_FREE_S = 2.0
_OPEN_S = 30.0
"""What it may take to open the world's page: nobody's action, and a browser that has just started is slow."""
_LOAD_SHARE = 0.6
"""Of an action's time, what loading may take of it."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an action."""

    valid: bool
    """Whether it could be read and done."""
    notes: tuple[str, ...] = ()
    """What the agent should know: why it could not be done, dialogs, downloads, what was blocked."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a page looks like as text."""

    text: str
    """Title and address, the tabs where there are several, and the accessibility tree."""
    elements: Mapping[int, Element]
    """What actions may name."""
    address: str
    """The page's, without the part that all have in common."""


class BrowserSession:
    """A window to act in; opened at its first use, given back by `close`.

    `size` is width and height in pixels. An action takes `timeout_s` seconds at most, loading of the page that it
    leads to included. At most `page_chars` characters of a page are shown. Every page runs `script` before its own.
    """

    def __init__(
        self,
        egress: Egress,
        *,
        size: Size = (1024, 768),
        timeout_s: float = 10.0,
        page_chars: int = 12_000,
        script: str = "",
    ) -> None:
        self.egress = egress
        self.size = size
        self.timeout_s = timeout_s
        self.page_chars = page_chars
        self.script = script
        self._service = browser_service()
        self._opened: Window | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, address: str) -> None:
        """Go to a page of the world, which is also the one that new tabs show.

        Raises `EnvironmentFault` where it cannot be loaded.
        """

        async def work(window: Window) -> None:
            window.home = self.egress.full(address)
            async with asyncio.timeout(_OPEN_S):
                await window.go_home()
                await window.settle(_OPEN_S)

        self._do(work, _OPEN_S + _RECOVERY_S)

    def act(self, action: str | Call) -> Done:
        """Do an action, and wait until the page that it leads to is loaded."""
        try:
            call = parse(action) if isinstance(action, str) else action
        except BadAction as problem:
            return Done(False, (str(problem),))

        async def work(window: Window) -> Done:
            window.must_live()
            problem = await self._attempt(window, call)
            return Done(not problem, (*([problem] if problem else []), *window.take_notes()))

        return self._do(work)

    def look(self) -> Sight:
        """Read the page."""

        async def work(window: Window) -> Sight:
            for _ in range(2):
                window.must_live()
                try:
                    async with asyncio.timeout(self.timeout_s):
                        await window.settle(self.timeout_s)
                        return await self._read(window)
                except TimeoutError:
                    await self._recover(window)
            raise EnvironmentFault(f"The page cannot be read within {self.timeout_s:g} s.")

        return self._do(work)

    def screenshot(self) -> NDArray[np.uint8]:
        """Return what is to be seen: height x width x 3."""
        from PIL import Image

        png = self._do(lambda window: window.current.page.screenshot(timeout=self.timeout_s * 1e3))
        with Image.open(io.BytesIO(png)) as image:
            return np.asarray(image.convert("RGB"))

    def evaluate(self, script: str, argument: Any = None) -> Any:
        """Return what JavaScript of the world's own gives on the page in front; no agent's script comes here."""
        return self._do(lambda window: window.current.page.evaluate(script, argument))

    def tabs(self) -> tuple[list[str], int]:
        """Return the addresses of the tabs, and which of them is in front."""

        async def work(window: Window) -> tuple[list[str], int]:
            addresses = [self.egress.short(tab.page.url) for tab in window.tabs]
            return addresses, window.tabs.index(window.current)

        return self._do(work)

    def cookies(self) -> list[dict[str, Any]]:
        """Return the cookies, as `set_cookies` takes them."""
        return [dict(cookie) for cookie in self._do(lambda window: window.context.cookies())]

    def set_cookies(self, cookies: Sequence[Mapping[str, Any]]) -> None:
        """Have these cookies and no others."""

        async def work(window: Window) -> None:
            await window.context.clear_cookies()
            await window.context.add_cookies([dict(cookie) for cookie in cookies])  # pyright: ignore[reportArgumentType]

        self._do(work)

    def renew(self) -> None:
        """Begin anew: one empty tab, nothing stored, no history."""
        self._do(lambda window: window.renew())

    def close(self) -> None:
        """Give the window back."""
        window, self._opened = self._opened, None
        if window is not None:
            self._service.run(self._service.release(window), START_S)

    def _do(self, work: Callable[[Window], Coroutine[Any, Any, _T]], limit_s: float | None = None) -> _T:
        if self._opened is None:
            self._opened = self._service.run(
                self._service.acquire(self.egress, self.size, self.script), START_S
            )
        try:
            return self._service.run(_within(work(self._opened)), limit_s or 2 * self.timeout_s + _RECOVERY_S)
        except EnvironmentFault:
            self.close()
            raise

    async def _attempt(self, window: Window, call: Call) -> str:
        """Do an action; return why it could not be done, or an empty text."""
        try:
            async with asyncio.timeout(self.timeout_s):
                await perform(window, call)
                await window.settle(_LOAD_SHARE * self.timeout_s)
        except Impossible as problem:
            return str(problem)
        except Gone:
            return f"What {call} means is no longer on the page."
        except TimeoutError:
            await self._recover(window)
        except PlaywrightError:
            window.must_live()
            await window.settle(self.timeout_s)  # the page went away in the middle of it
        return ""

    async def _recover(self, window: Window) -> None:
        """Make the window answer again after a time-out."""
        tab = window.current
        if await tab.free(_FREE_S):
            window.tell(
                f"The page did not answer within {self.timeout_s:g} s; what its script did was ended."
            )
            return
        await window.replace(tab)
        window.tell(f"The page did not answer within {self.timeout_s:g} s; its tab was closed.")

    async def _read(self, window: Window) -> Sight:
        tree = await window.current.look(self.page_chars)
        address = self.egress.short(window.current.page.url)
        lines = [f"Page {tree.title!r} at {address}"]
        if len(window.tabs) > 1:
            marks = [(tab, " (current)" if tab is window.current else "") for tab in window.tabs]
            lines = [
                f"Tab {n}{mark}: {self.egress.short(tab.page.url)}" for n, (tab, mark) in enumerate(marks)
            ] + lines
        return Sight("\n".join([*lines, tree.text]), tree.elements, address)


async def _within(work: Coroutine[Any, Any, _T]) -> _T:
    """Give time-outs the name of their boundary."""
    try:
        return await work
    except TimeoutError as error:
        raise EnvironmentFault("The browser did not answer in time.") from error
