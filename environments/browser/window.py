"""A window of the browser: a context of its own with tabs, and what happened in them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from playwright.async_api import Browser, BrowserContext, Page, Route
from playwright.async_api import Error as PlaywrightError

from agentgym.core.errors import EnvironmentFault
from agentgym.environments.browser.egress import Egress
from agentgym.environments.browser.tab import Tab

TABS = 8
"""Most tabs in a window."""
_NOTES = 5
"""Most notes on one action; of more their number is told."""
_OPEN_S = 2.0
"""A tab that a page asked for and that has not opened after so long never will."""
_BLANK = "about:blank"


class Window:
    """A browser context; everything here runs on the browser's event loop."""

    def __init__(
        self, browser: Browser, context: BrowserContext, egress: Egress, size: tuple[int, int], script: str
    ) -> None:
        self.browser = browser
        self.context = context
        self.egress = egress
        self.size = size
        self.script = script
        self.tabs: list[Tab] = []
        self.home = _BLANK
        """What is shown when every tab was closed."""
        self._current: Tab | None = None
        self._arriving: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()
        self._notes: list[str] = []

    @classmethod
    async def open(cls, browser: Browser, egress: Egress, size: tuple[int, int], script: str) -> Window:
        """Make a context with one empty tab; every page runs `script` before its own."""
        server, bypass = egress.proxy
        context = await browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            accept_downloads=False,
            service_workers="block",
            proxy={"server": server, "bypass": bypass},
            reduced_motion="reduce",
            locale="en-US",
            timezone_id="UTC",
        )
        window = cls(browser, context, egress, size, script)
        await context.add_init_script(script)
        await context.route(egress.forbidden, window._block)
        context.on("page", window._arrive)
        await window.new_tab()
        return window

    @property
    def current(self) -> Tab:
        """The tab in front."""
        if self._current is None:
            raise EnvironmentFault("The browser's window has no tab.")
        return self._current

    @property
    def usable(self) -> bool:
        """Whether the browser and the pages live."""
        return self.browser.is_connected() and not any(tab.crashed for tab in self.tabs)

    def must_live(self) -> None:
        """Raise `EnvironmentFault` where the browser or a page has crashed."""
        if not self.usable:
            raise EnvironmentFault("The browser has crashed; the next episode begins in a new one.")

    def tell(self, note: str) -> None:
        """Note something for the agent to know."""
        self._notes.append(note)

    def take_notes(self) -> list[str]:
        """Return what was noted since the last call."""
        notes, self._notes = list(dict.fromkeys(self._notes)), []
        return (
            [*notes[:_NOTES], f"And {len(notes) - _NOTES} more like these."] if len(notes) > _NOTES else notes
        )

    async def new_tab(self) -> Tab:
        """Open an empty tab in front of the others."""
        return await self._attach(await self.context.new_page())

    async def go_home(self) -> None:
        """Show the home page in the tab in front, as its first page, with no button of the mouse held down."""
        await self.current.page.mouse.up()
        await self.current.page.goto(self.home)
        await self.current.send("Page.resetNavigationHistory")

    def focus(self, tab: Tab) -> None:
        """Bring a tab to the front."""
        self._current = tab

    async def close_tab(self, tab: Tab) -> None:
        """Close a tab."""
        self.tabs.remove(tab)  # first, so that its end is nothing to tell
        self._fall_back(tab)
        await tab.page.close()

    async def settle(self, limit_s: float) -> None:
        """Wait for what was begun: tabs that open, pages that load. There is a tab in front afterwards."""
        if self._current is not None and not await self._current.settle(limit_s):
            self.tell(f"The page was still loading after {limit_s:g} s; loading was stopped.")
        await self._let_arrive()
        if self._current is None:
            await self.new_tab()
            await self.go_home()
            self.tell("No tab was left; a new one was opened.")

    async def _let_arrive(self) -> None:
        """Wait for the tabs that a page has asked for, and bring the last one to the front."""
        for tab in [tab for tab in self.tabs if tab.opening]:
            with suppress(TimeoutError):
                async with asyncio.timeout(_OPEN_S):
                    while tab.opening:
                        self._arrived.clear()
                        await self._arrived.wait()
            tab.opening = 0
        while self._arriving:
            await asyncio.wait(self._arriving)
            if self._current is not None:
                await self._current.settle(_OPEN_S)

    async def replace(self, tab: Tab) -> None:
        """Put a new tab in the place of one that does not answer."""
        if tab in self.tabs:
            self.tabs.remove(tab)
            self._fall_back(tab)
        with suppress(PlaywrightError, TimeoutError):
            await asyncio.wait_for(tab.page.close(), 3.0)
        await self.new_tab()
        await self.go_home()

    async def renew(self) -> None:
        """Make the window as one that was just opened: one empty tab, no cookies, nothing stored, no history."""
        tab = self.tabs[0] if self.tabs else await self.new_tab()
        self.tabs = [tab]
        self.focus(tab)
        for page in self.context.pages:
            if page is not tab.page:
                await page.close()
        await self.context.clear_cookies()
        origin = self.egress.base.removesuffix("/")
        for storage in ({"securityOrigin": origin, "isLocalStorage": kind} for kind in (False, True)):
            with suppress(PlaywrightError):  # a page that has none
                await tab.send("DOMStorage.clear", {"storageId": storage})
        await tab.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
        await tab.page.goto(_BLANK)
        await tab.settle(1.0)
        await tab.send("Page.resetNavigationHistory")
        self.home = _BLANK
        self._notes.clear()

    async def close(self) -> None:
        """Close the tabs and the context."""
        self.tabs.clear()
        await self.context.close()

    async def _attach(self, page: Page) -> Tab:
        tab = await Tab.attach(page, self.tell, self.egress.forbidden)
        self.tabs.append(tab)
        self._current = tab
        page.on("close", lambda _: self._closed(tab))
        return tab

    def _arrive(self, page: Page) -> None:
        """A page has opened a tab, or we have."""
        task = asyncio.ensure_future(self._welcome(page))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _welcome(self, page: Page) -> None:
        opener = await page.opener()
        if opener is None:  # it is one of ours
            return
        for tab in self.tabs:
            if tab.page is opener:
                tab.opening = max(tab.opening - 1, 0)
        self._arrived.set()
        if len(self.tabs) >= TABS:
            self.tell(f"A tab that the page opened was closed again: there are {TABS} already.")
            await page.close()
            return
        with suppress(PlaywrightError):  # closed already
            await self._attach(page)
            self.tell(f"A new tab was opened, tab {len(self.tabs) - 1}.")
            # It may have begun to load before anybody listened to its events.
            await page.wait_for_load_state("load", timeout=1000 * _OPEN_S)

    def _closed(self, tab: Tab) -> None:
        if tab in self.tabs:
            self.tell("The page closed its tab.")
            self.tabs.remove(tab)
            self._fall_back(tab)

    def _fall_back(self, tab: Tab) -> None:
        if self._current is tab:
            self._current = self.tabs[-1] if self.tabs else None

    async def _block(self, route: Route) -> None:
        self.tell(f"Blocked: {route.request.url[:200]} is outside this site, the only place to go.")
        with suppress(PlaywrightError):
            await route.abort("aborted")  # the one that leaves the page as it is
