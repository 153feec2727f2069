"""`Viewer`: the pages on a port of this machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from agentgym.serving.listening import Listener, checked_token
from agentgym.serving.viewer.access import Door
from agentgym.serving.viewer.app import make_app
from agentgym.serving.viewer.library import Library
from agentgym.serving.viewer.memory.shelf import Shelf
from agentgym.serving.viewer.pages import run_url
from agentgym.serving.viewer.runs import summaries

_log = logging.getLogger(__name__)
_HOST = "127.0.0.1"


class Viewer:
    """Serves pages over `library` on `port` (0: any free one) of this machine alone. An async context manager.

    Whoever opens `link()` may read, and nobody may do anything else. Raises `UsageError` where the port cannot be had.
    """

    def __init__(
        self,
        root: Path,
        also: Path | None = None,
        *,
        memory: str | None = None,
        token: str | None = None,
        port: int = 0,
        on_problem: Callable[[str], None] = _log.warning,
    ) -> None:
        """Show the runs in `root`, the run directory `also` besides, and the memory at the path or URL `memory`.

        `on_problem` is told what failed.
        """
        self.token = checked_token(token)
        self.url = ""
        """Root of the server, such as `http://127.0.0.1:40123`; empty until it runs."""
        self._library = Library(root, also)
        self._shelf = Shelf(self._library, memory)
        self._port = port
        self._on_problem = on_problem
        self._ending = asyncio.Event()
        self._listener: Listener | None = None

    async def __aenter__(self) -> Self:
        self._listener = Listener(_HOST, self._port)
        self.url = self._listener.url
        app = make_app(self._library, self._shelf, self._ending, self._on_problem)
        door = Door(app, self.token, self._listener.port)
        await self._listener.start(door, "see the runs", self._on_problem, ws="none")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listener is not None
        self._ending.set()  # streams end, so that nothing is waited for
        await self._listener.stop()
        self._shelf.close()
        self._library.close()

    def page_of(self, folder: Path) -> str:
        """Return the path of the page of a directory's run; of the list, where it holds several or cannot be read."""
        name = folder.resolve().name
        found = [run for run in summaries(self._library) if run.folder == name and run.id]
        return run_url(name, found[0].id) if len(found) == 1 else "/"

    def link(self, path: str = "/") -> str:
        """Return the URL that opens a page in a browser."""
        return f"{self.url}{path}?token={quote(self.token)}"
