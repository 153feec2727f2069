"""The addresses of the memory pages, and what each is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from agentgym.core.errors import AgentGymError, UsageError
from agentgym.serving.viewer.charts import Theme, draw
from agentgym.serving.viewer.library import Library
from agentgym.serving.viewer.memory.item import had_at_hand, item_page, names_of
from agentgym.serving.viewer.memory.overview import PAGE, Overviews
from agentgym.serving.viewer.memory.shelf import APART, Shelf
from agentgym.serving.viewer.pages import part, run_url
from agentgym.store.tables import StoreRow

_RUNS = StoreRow.metadata.tables["runs"]
Page = Callable[..., Response]
"""Renders a template with values."""


class AtHand(NamedTuple):
    """A version that an episode had as a candidate."""

    version: str
    name: str
    url: str
    shown: bool
    probability: float


class MemorySite:
    """The pages of the memories on a shelf, rendered by `page`."""

    def __init__(self, shelf: Shelf, library: Library, page: Page) -> None:
        self._shelf = shelf
        self._library = library
        self._page = page
        self._overviews = Overviews()

    def routes(
        self, svg: Callable[[bytes], Response], theme: Callable[[Request], Theme]
    ) -> Mapping[str, Any]:
        """Return the pages by address."""

        def growth(request: Request) -> Response:
            folder, name = _place(request)
            with self._shelf.opened(folder, name) as store:
                overview = self._overviews.of(store)
            return svg(draw(overview.chart, overview.growth, theme(request)))

        return {
            "/memory": self.memories,
            "/memory/{folder}/{name}": self.memory,
            "/memory/{folder}/{name}/growth.svg": growth,
            "/memory/{folder}/{name}/items/{version}": self.item,
        }

    def memories(self, request: Request) -> Response:
        """List the memories."""
        return self._page("memories.html", memories=self._shelf.all(), url=memory_url, apart=APART)

    def memory(self, request: Request) -> Response:
        """Show a memory: its growth and its items, filtered and paged."""
        folder, name = _place(request)
        asked = {field: request.query_params.get(field, "").strip() for field in ("kind", "status", "name")}
        first = _number(request.query_params.get("from", ""))
        with self._shelf.opened(folder, name) as store:
            overview = self._overviews.of(store)
        chosen = overview.chosen(asked["kind"], asked["status"], asked["name"])
        more = "&".join(f"{field}={quote(value)}" for field, value in asked.items() if value)
        more = f"?{more}{'&' if more else ''}from={first + PAGE}" if len(chosen) > first + PAGE else ""
        return self._page(
            "memory.html",
            folder=folder,
            name=name,
            apart=APART,
            overview=overview,
            items=chosen[first : first + PAGE],
            found=len(chosen),
            asked=asked,
            more=more,
            url=memory_url,
        )

    def item(self, request: Request) -> Response:
        """Show a version."""
        folder, name = _place(request)
        version = request.path_params["version"]
        with self._shelf.opened(folder, name) as store:
            after = request.query_params.get("after", "")
            page = item_page(store, self._overviews.of(store), version, after)
        runs = self._run_ids(folder)
        return self._page(
            "item.html",
            folder=folder,
            name=name,
            page=page,
            url=memory_url,
            link=partial(self._episode_url, folder, runs),
        )

    def of_run(self, folder: str) -> list[tuple[str, str]]:
        """Return the names and addresses of the memories in a run directory."""
        return [(name, memory_url(folder, name)) for name in self._shelf.of_folder(folder)]

    def at_hand(
        self, folder: str, run: str, episode: str, shown: set[str], withheld: set[str]
    ) -> list[AtHand]:
        """Return what an episode had as candidates: by the memory's log, and by what its turns say.

        Versions that no memory of the run's directory has are left out, and so is a memory that cannot be read.
        """
        found: dict[str, AtHand] = {}
        for name in self._shelf.of_folder(folder):
            try:
                with (
                    self._shelf.opened(folder, name) as store,
                    store.database.reading() as connection,
                ):
                    rows = had_at_hand(connection, [f"{run}/{episode}", episode])
                    drawn = {row.sha: (bool(row.shown), float(row.probability)) for row in rows}
                    told = {version: (version in shown, 1.0) for version in sorted(shown | withheld)}
                    every = {**told, **drawn}
                    names = names_of(connection, list(every))
            except AgentGymError:
                continue
            for version, (seen, probability) in every.items():
                if version in names:
                    url = memory_url(folder, name, "items", version)
                    found.setdefault(version, AtHand(version, names[version], url, seen, probability))
        return list(found.values())

    def _run_ids(self, folder: str) -> list[str]:
        if folder == APART:
            return []
        with self._library.reading(folder) as connection:
            return list(connection.execute(select(_RUNS.c.id)).scalars())

    def _episode_url(self, folder: str, runs: list[str], episode: str) -> str:
        """Return the address of an episode that a memory names `RUN/EPISODE`, or `EPISODE`; empty: it is not known."""
        first, _, rest = episode.partition("/")
        if first in runs:
            return run_url(folder, first, "episodes", rest)
        if rest and first in self._library.folders():
            return run_url(first, first, "episodes", rest)
        return run_url(folder, runs[0], "episodes", episode) if len(runs) == 1 else ""


def memory_url(folder: str, name: str, *path: str) -> str:
    """Return the address of a page of a memory."""
    return "/" + "/".join(["memory", *map(part, (folder, name, *path))])


def _place(request: Request) -> tuple[str, str]:
    return request.path_params["folder"], request.path_params["name"]


def _number(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"`from` is a number of items, got {text!r}.")
    return int(text or 0)
