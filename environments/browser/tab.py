"""One tab: the page, its events, and the nodes in it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from playwright.async_api import CDPSession, Dialog, Download, Page
from playwright.async_api import Error as PlaywrightError

from agentgym.environments.browser.tree import Element, Tree, read_tree

_BEGIN_S = 0.5
"""A navigation that was asked for and has not begun after so long never will; nor is a request blocked later."""
_LET_SCRIPTS_RUN = "new Promise(done => setTimeout(() => done(window.closed)))"
"""Answered when what events have set off is done; says whether the page is closing."""

Tell = Callable[[str], None]


class Gone(Exception):
    """The element meant is no longer on the page."""


class Tab:
    """A page with a DevTools session of ours."""

    def __init__(self, page: Page, cdp: CDPSession, tell: Tell, forbidden: re.Pattern[str]) -> None:
        self.page = page
        self._cdp = cdp
        self.crashed = False
        self.tree = Tree("", {})
        """The page as it was shown last."""
        self.opening = 0
        """Tabs that the page has asked for and that are not there yet."""
        self._tell = tell
        self._forbidden = forbidden
        self._blocking: set[str] = set()
        """Requests that are going to be blocked."""
        self._asked: set[str] = set()
        self._loading: set[str] = set()
        self._moved = asyncio.Event()

    @classmethod
    async def attach(cls, page: Page, tell: Tell, forbidden: re.Pattern[str]) -> Tab:
        """Watch a page; requests for `forbidden` addresses are blocked by the window, and waited for here."""
        tab = cls(page, await page.context.new_cdp_session(page), tell, forbidden)
        page.on("dialog", tab._answer)
        page.on("download", tab._refuse)
        page.on("filechooser", lambda _: tell("The page asked for a file; there are none to choose."))
        page.on("crash", lambda _: setattr(tab, "crashed", True))
        for event, follow in (
            ("Page.frameRequestedNavigation", tab._ask),
            ("Page.frameStartedLoading", tab._begin),
            ("Page.frameStoppedLoading", tab._end),
            ("Page.frameDetached", tab._end),
            ("Page.windowOpen", tab._expect),
            ("Network.requestWillBeSent", tab._request),
            ("Network.loadingFailed", tab._answered),
            ("Network.loadingFinished", tab._answered),
        ):
            tab._cdp.on(event, follow)
        await tab.send("Page.enable")
        await tab.send("Network.enable")
        return tab

    async def settle(self, limit_s: float) -> bool:
        """Wait until what an action has begun is loaded; return whether it is, within `limit_s` seconds.

        What is blocked of it has been told by then.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + limit_s
        await self._let_scripts_run(limit_s)
        while self._asked or self._loading or self._blocking:
            self._moved.clear()
            left = until - loop.time() if self._loading else _BEGIN_S
            try:
                await asyncio.wait_for(self._moved.wait(), max(left, 0))
            except TimeoutError:
                if self._loading:
                    await self.send("Page.stopLoading")
                    return False
                self._asked.clear()
                self._blocking.clear()
        return True

    async def _let_scripts_run(self, limit_s: float) -> None:
        """Wait until what events have set off is done, or a page begins to load: the old one may not answer then.

        By the time this returns, a navigation that the action asked for has been announced.
        """
        asked = {"expression": _LET_SCRIPTS_RUN, "awaitPromise": True, "returnByValue": True}
        answer = asyncio.ensure_future(self.send("Runtime.evaluate", asked))
        answer.add_done_callback(lambda _: self._moved.set())
        try:
            while not (answer.done() or self._loading):
                self._moved.clear()
                await self._moved.wait()
        finally:
            if not answer.done():
                answer.cancel()
        with suppress(PlaywrightError):  # the page went away meanwhile
            closing = answer.done() and answer.result()["result"].get("value") is True
            if closing and not self.page.is_closed():
                await self.page.wait_for_event("close", timeout=limit_s * 1e3)

    async def send(self, method: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a message of the DevTools protocol to the page and return the answer."""
        return cast("dict[str, Any]", await self._cdp.send(method, dict(parameters or {})))

    async def look(self, max_chars: int) -> Tree:
        """Read the page anew."""
        found = await self.send("Accessibility.getFullAXTree")
        self.tree = read_tree(found["nodes"], max_chars)
        return self.tree

    async def call(self, element: Element, script: str, *arguments: Any) -> Any:
        """Call a function of `scripts` on an element; raises `Gone`."""
        try:
            found = await self.send("DOM.resolveNode", {"backendNodeId": element.node})
            made = await self.send(
                "Runtime.callFunctionOn",
                {
                    "objectId": found["object"]["objectId"],
                    "functionDeclaration": script,
                    "arguments": [{"value": value} for value in arguments],
                    "returnByValue": True,
                },
            )
        except PlaywrightError as error:
            if self.page.is_closed() or self.crashed:
                raise
            raise Gone from error
        return made["result"].get("value")

    async def free(self, limit_s: float) -> bool:
        """End the script that the page runs, if it does; return whether the page answers again."""
        try:
            async with asyncio.timeout(limit_s):
                await self.send("Page.stopLoading")  # a page about to be left answers nothing
                await self.send("Runtime.terminateExecution")
                await self.send("Runtime.evaluate", {"expression": "0"})
        except (TimeoutError, PlaywrightError):
            return False
        return True

    def _ask(self, event: Any) -> None:
        self._asked.add(event["frameId"])
        self._moved.set()

    def _begin(self, event: Any) -> None:
        self._asked.discard(event["frameId"])
        self._loading.add(event["frameId"])
        self._moved.set()

    def _end(self, event: Any) -> None:
        self._asked.discard(event["frameId"])
        self._loading.discard(event["frameId"])
        self._moved.set()

    def _request(self, event: Any) -> None:
        if self._forbidden.match(event["request"]["url"]):
            self._blocking.add(event["requestId"])

    def _answered(self, event: Any) -> None:
        self._blocking.discard(event["requestId"])
        self._moved.set()

    def _expect(self, event: Any) -> None:
        del event
        self.opening += 1

    async def _answer(self, dialog: Dialog) -> None:
        accepts: Sequence[str] = ("alert", "beforeunload")
        verdict = "accepted" if dialog.type in accepts else "dismissed"
        self._tell(
            f"The page showed a dialog ({dialog.type}), which was {verdict}: {dialog.message[:200]!r}."
        )
        with suppress(PlaywrightError):  # the page is gone, and its dialog with it
            await (dialog.accept() if dialog.type in accepts else dialog.dismiss())

    def _refuse(self, download: Download) -> None:
        self._tell(f"A download was refused: {download.suggested_filename[:100]!r}.")
