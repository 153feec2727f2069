"""`agentgym view`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentgym.cli.console import console
from agentgym.cli.gateway import stop_request, tell
from agentgym.cli.options import RunsRoot

if TYPE_CHECKING:
    from agentgym.serving.viewer.server import Viewer


def view(
    run: Annotated[
        str | None, typer.Argument(help="A run to begin with: its directory, or its name in --runs.")
    ] = None,
    port: Annotated[int, typer.Option("--port", help="0 is any free one.")] = 0,
    runs: RunsRoot = Path("runs"),
    token: Annotated[
        str | None,
        typer.Option(
            "--token", envvar="AGENTGYM_TOKEN", show_envvar=True, help="Opens the pages; else one is made."
        ),
    ] = None,
) -> None:
    """Show runs in the browser: curves while they train, episodes turn by turn, groups, comparisons.

    The pages are for this machine alone, and only read. Open the URL that is printed; the token in it becomes a
    cookie. Ctrl-C stops.

    Example: agentgym view reference
    """
    from agentgym.serving.viewer.library import find_run, must_have_runs
    from agentgym.serving.viewer.server import Viewer

    first = None if run is None else find_run(run, runs)
    if first is None:
        must_have_runs(runs)
    asyncio.run(_serve(Viewer(runs, first, token=token, port=port, on_problem=tell), first))
    console().print("Stopped.")


async def _serve(viewer: Viewer, first: Path | None) -> None:
    with stop_request() as stopped:
        async with viewer:
            link = viewer.link("/" if first is None else viewer.page_of(first))
            console().print(f"Open {link}", markup=False, soft_wrap=True)
            await stopped.wait()
