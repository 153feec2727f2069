"""Server-sent events: a page is told that something has changed, and fetches itself again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.concurrency import run_in_threadpool

from agentgym.core.errors import AgentGymError
from agentgym.serving.viewer.library import Library
from agentgym.serving.viewer.runs import summaries, summary

_EVERY_S = 1.0
_STILL_HERE = 15
"""After so many looks without a change something is sent all the same, to notice a browser that has left."""


async def changes(library: Library, run: tuple[str, str] | None, ending: asyncio.Event) -> AsyncIterator[str]:
    """Yield an event whenever a run, or with None the list of runs, has changed, until `ending` is set."""
    shown: str | None = None
    quiet = 0
    yield "retry: 2000\n\n"
    while not ending.is_set():
        version = await run_in_threadpool(_version, library, run)
        if version != shown:
            if shown is not None:
                yield f"event: change\ndata: {version}\n\n"
            shown, quiet = version, 0
        else:
            quiet += 1
            if quiet % _STILL_HERE == 0:
                yield ": still here\n\n"
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), _EVERY_S)


def _version(library: Library, run: tuple[str, str] | None) -> str:
    try:
        found = summaries(library) if run is None else [summary(library, *run)]
    except AgentGymError:  # the page that is fetched says so
        return "gone"
    return str(abs(hash(tuple((one.folder, one.id, one.version, one.problem) for one in found))))
