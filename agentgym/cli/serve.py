"""`agentgym serve`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentgym.cli.console import console
from agentgym.cli.options import AsJson, EnvName, EnvOptions, SplitName, parse_options
from agentgym.cli.servers import Host, Port, Token, announce, stop_request, tell
from agentgym.core.errors import UsageError

if TYPE_CHECKING:
    from agentgym.serving.environments.container import ContainerServer
    from agentgym.serving.environments.server import EnvServer


def serve(
    env: EnvName,
    port: Port = 0,
    host: Host = "127.0.0.1",
    token: Token = None,
    split: SplitName = "train",
    option: EnvOptions = None,
    sessions: Annotated[int, typer.Option("--sessions", min=1, help="Most clients at once.")] = 256,
    idle: Annotated[
        float, typer.Option("--idle", min=1, help="Seconds until a session in which nothing is asked ends.")
    ] = 3600.0,
    container: Annotated[
        bool, typer.Option("--container", help="In a container, made with the environment's Dockerfile.")
    ] = False,
    cpus: Annotated[
        float | None,
        typer.Option("--cpus", min=0.01, help="Processors that the container may use; 2 unless given."),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option("--memory", min=0.1, help="GiB that the container may use; 4 unless given."),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow", metavar="HOST[:PORT]", help="A host that the container may reach. Repeatable."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve an environment to OpenEnv's clients, and to agentgym on other machines.

    A client that has the token gets an environment of its own: agentgym.make("ws://127.0.0.1:PORT"). --split and -o
    say over which tasks and how where the client does not; an option given here cannot be chosen by clients. Ctrl-C
    stops.

    With --container it runs in Docker, apart from this machine's files; a path given by -o is mounted to be read. No
    network is in its reach but the hosts of --allow, by a proxy.

    Example: agentgym serve household --port 0
    """
    from agentgym.serving.environments.app import Limits

    limits = Limits(sessions=sessions, idle_s=idle)
    settings: dict[str, Any] = {"split": split, "options": parse_options(option), "limits": limits}
    settings |= {"token": token, "host": host, "port": port}
    bounds: dict[str, Any] = {
        "cpus": cpus,
        "memory_bytes": memory and int(memory * (1 << 30)),
        "allowed_hosts": allow,
    }
    bounds = {name: value for name, value in bounds.items() if value is not None}
    if bounds and not container:
        raise UsageError(
            "--cpus, --memory and --allow are those of a container: add --container, or leave them out."
        )
    settings |= bounds
    make = _in_container if container else _here
    asyncio.run(_serve(make, env, settings, shown_token=token is None, as_json=as_json))
    if not as_json:
        console().print("Stopped.")


def _here(env: str, settings: dict[str, Any]) -> EnvServer:
    from agentgym.serving.environments.server import EnvServer

    return EnvServer(env, on_problem=tell, **settings)


def _in_container(env: str, settings: dict[str, Any]) -> ContainerServer:
    try:
        from agentgym.serving.environments.container import ContainerServer
    except ModuleNotFoundError as error:
        raise UsageError(f"Containers need {error.name}: pip install 'agentgym-harness[sandbox]'") from error
    return ContainerServer(env, **settings)


async def _serve(
    make: Callable[[str, dict[str, Any]], EnvServer | ContainerServer],
    env: str,
    settings: dict[str, Any],
    *,
    shown_token: bool,
    as_json: bool,
) -> None:
    with stop_request() as stopped:
        async with make(env, settings) as server:
            lines = [
                f"Serving {server.spec.id} at {server.url}",
                f"Token   {server.token}" if shown_token else "Token   the given one",
                f"Play    AGENTGYM_TOKEN=TOKEN agentgym eval {server.url} --policy oracle",
            ]
            told = server.token if shown_token else None
            data = {"environment": server.spec.id, "url": server.url, "token": told}
            announce(lines, data, as_json=as_json)
            await stopped.wait()
