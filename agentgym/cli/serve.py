"""`agentgym serve`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from agentgym.cli.console import console
from agentgym.cli.gateway import stop_request, tell
from agentgym.cli.options import EnvName, EnvOptions, SplitName, parse_options

if TYPE_CHECKING:
    from agentgym.serving.environments.server import EnvServer


def serve(
    env: EnvName,
    port: Annotated[int, typer.Option("--port", help="0 is any free one.")] = 0,
    host: Annotated[str, typer.Option("--host", help="Where to listen.")] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="AGENTGYM_TOKEN",
            show_envvar=True,
            help="What clients must send; else one is made.",
        ),
    ] = None,
    split: SplitName = "train",
    option: EnvOptions = None,
    sessions: Annotated[int, typer.Option("--sessions", min=1, help="Most clients at once.")] = 256,
    idle: Annotated[
        float, typer.Option("--idle", min=1, help="Seconds until a session in which nothing is asked ends.")
    ] = 3600.0,
) -> None:
    """Serve an environment to OpenEnv's clients, and to agentgym on other machines.

    A client that has the token gets an environment of its own: agentgym.make("ws://127.0.0.1:PORT"). --split and -o
    say over which tasks and how where the client does not; an option given here cannot be chosen by clients. Ctrl-C
    stops.

    Example: agentgym serve household --port 0
    """
    from agentgym.serving.environments.app import Limits
    from agentgym.serving.environments.server import EnvServer

    limits = Limits(sessions=sessions, idle_s=idle)
    options = parse_options(option)
    served = EnvServer(
        env, split=split, options=options, token=token, host=host, port=port, limits=limits, on_problem=tell
    )
    asyncio.run(_serve(served, shown_token=token is None))
    console().print("Stopped.")


async def _serve(server: EnvServer, *, shown_token: bool) -> None:
    with stop_request() as stopped:
        async with server:
            lines = [
                f"Serving {server.spec.id} at {server.url}",
                f"Token   {server.token}" if shown_token else "Token   the given one",
                f"Play    AGENTGYM_TOKEN=TOKEN agentgym eval {server.url} --policy oracle",
            ]
            console().print("\n".join(lines), markup=False, soft_wrap=True)
            await stopped.wait()
