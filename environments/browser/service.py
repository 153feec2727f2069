"""The browser of this process: one Chromium for all worlds, started once, replaced when it has died.

Playwright lives on an event loop in a thread of its own, so that worlds use it from any thread, inside an event
loop or not. What pages may share is kept apart by contexts (as a browser's private windows are), which are pooled:
making one takes some hundred milliseconds, renewing one a few.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections import defaultdict
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as NoAnswer
from contextlib import suppress
from typing import Any, TypeVar

from playwright.async_api import Browser, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError

from agentgym.core.errors import EnvironmentFault
from agentgym.environments.browser.chromium import ARGUMENTS, find_chromium
from agentgym.environments.browser.egress import Egress
from agentgym.environments.browser.window import Window

_T = TypeVar("_T")

START_S = 60.0
"""How long Chromium may take to start."""
END_S = 5.0
"""How long anything may take to close."""
_RENEWAL_S = 2.0
KEPT = 16
"""Contexts of one kind that are kept for reuse."""

Size = tuple[int, int]


class BrowserService:
    """One browser with its contexts; see `browser_service`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="agentgym-browser", daemon=True)
        self._thread.start()
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._lock = asyncio.Lock()
        self._idle: dict[tuple[Egress, Size, str], list[Window]] = defaultdict(list)
        self.starts = 0
        """How often a browser was started."""

    def run(self, work: Coroutine[Any, Any, _T], limit_s: float) -> _T:
        """Do `work` on the browser's loop; raises `EnvironmentFault` where it takes longer than `limit_s`."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(limit_s)
        except NoAnswer:
            future.cancel()
            asyncio.run_coroutine_threadsafe(self._abandon(), self._loop)
            raise EnvironmentFault(
                f"The browser did not answer within {limit_s:g} s; it is replaced for the next episode."
            ) from None
        except PlaywrightError as error:
            raise EnvironmentFault(f"The browser failed: {error.message:.500}") from error

    async def acquire(self, egress: Egress, size: Size, script: str) -> Window:
        """Return a window as new, one from the pool where there is one."""
        async with self._lock:
            browser = await self._running()
            idle = self._idle[egress, size, script]
            if idle:
                return idle.pop()
        return await Window.open(browser, egress, size, script)

    async def release(self, window: Window) -> None:
        """Take a window back; one that cannot be renewed is closed."""
        idle = self._idle[window.egress, window.size, window.script]
        if window.browser is not self._browser:  # it went with its browser
            return
        if window.usable and len(idle) < KEPT:
            with suppress(PlaywrightError, TimeoutError):
                async with asyncio.timeout(_RENEWAL_S):
                    await window.renew()
                    idle.append(window)
                    return
        try:
            async with asyncio.timeout(END_S):
                await window.close()
                await (await window.browser.new_browser_cdp_session()).detach()  # does the browser live?
        except (PlaywrightError, TimeoutError):
            await self._abandon()

    def close(self) -> None:
        """End the browser and the thread."""
        with suppress(Exception):  # whatever is left ends with this process
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(2 * END_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END_S)

    async def _running(self) -> Browser:
        if self._browser is not None and self._browser.is_connected():
            return self._browser
        await self._end()
        path = find_chromium()
        try:
            async with asyncio.timeout(START_S):
                self._playwright = await async_playwright().start()
                self._browser = await self._playwright.chromium.launch(
                    executable_path=path, args=list(ARGUMENTS), timeout=START_S * 1e3
                )
        except (PlaywrightError, TimeoutError, OSError) as error:
            raise EnvironmentFault(f"{path} did not start: {error!s:.500}") from error
        self.starts += 1
        return self._browser

    async def _abandon(self) -> None:
        async with self._lock:
            await self._end()

    async def _end(self) -> None:
        browser, playwright = self._browser, self._playwright
        self._browser = self._playwright = None
        self._idle.clear()
        for part in (browser.close() if browser else None, playwright.stop() if playwright else None):
            if part is not None:
                with suppress(Exception):  # it may have died in any way
                    await asyncio.wait_for(part, END_S)


_service: BrowserService | None = None
_making = threading.Lock()


def browser_service() -> BrowserService:
    """Return this process's browser; it starts when the first window is opened."""
    global _service
    with _making:
        if _service is None:
            _service = BrowserService()
            atexit.register(_service.close)
        return _service


def _forget() -> None:
    """A forked process has none of its parent's threads, and makes a browser of its own."""
    global _service, _making
    if _service is not None:
        atexit.unregister(_service.close)
    _service, _making = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)
