"""`agentgym view`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentgym.cli.console import console
from agentgym.cli.options import AsJson, RunsRoot
from agentgym.cli.servers import Port, Token, announce, stop_request, tell

if TYPE_CHECKING:
    from agentgym.serving.viewer.server import Viewer


def view(
    run: Annotated[
        str | None, typer.Argument(help="A run to begin with: its directory, or its name in --runs.")
    ] = None,
    port: Port = 0,
    runs: RunsRoot = Path("runs"),
    memory: Annotated[
        str | None,
        typer.Option("--memory", metavar="PATH", help="A memory besides: a file, or a postgresql:// URL."),
    ] = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Show runs in the browser: curves while they train, episodes turn by turn, groups, comparisons, memories.

    The pages are for this machine alone, and only read. Open the URL that is printed; the token in it becomes a
    cookie. Ctrl-C stops.

    Example: agentgym view reference
    """
    from agentgym.memory.store.store import MemoryStore
    from agentgym.serving.viewer.library import must_have_runs
    from agentgym.serving.viewer.server import Viewer
    from agentgym.store.folders import find_run_folder

    first = None if run is None else find_run_folder(run, runs)
    if memory is not None:
        MemoryStore(memory, create=False).close()  # what is wrong with it is told at once
    elif first is None:
        must_have_runs(runs)
    asyncio.run(
        _serve(
            Viewer(runs, first, memory=memory, token=token, port=port, on_problem=tell),
            first,
            as_json=as_json,
        )
    )
    if not as_json:
        console().print("Stopped.")


async def _serve(viewer: Viewer, first: Path | None, *, as_json: bool) -> None:
    with stop_request() as stopped:
        async with viewer:
            link = viewer.link("/" if first is None else viewer.page_of(first))
            announce([f"Open {link}"], {"url": viewer.url, "open": link}, as_json=as_json)
            await stopped.wait()
