"""`agentgym gateway`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from agentgym.cli.console import console, error_console
from agentgym.cli.options import Seed, prepare_output
from agentgym.cli.policies import (
    ApiKeyEnv,
    EndpointOptions,
    RequestsPerMinute,
    is_endpoint,
    newest_policy,
    open_endpoint,
)

if TYPE_CHECKING:
    from agentgym.core.policy import Policy
    from agentgym.core.trace import Episode
    from agentgym.serving.gateway import Gateway


class _Opened(NamedTuple):
    policy: Policy
    name: str
    config: dict[str, Any]
    """What is kept with the episodes."""


def gateway(
    policy: Annotated[str, typer.Option("--policy", help="A run, openai:MODEL or a URL.")],
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
    name: Annotated[
        str, typer.Option("--name", help="What clients call the model; else the policy's name.")
    ] = "",
    temperature: Annotated[
        float, typer.Option("--temperature", min=0, help="Of rollouts, whatever their clients ask for.")
    ] = 1.0,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Most tokens in one answer.")] = 512,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option("--out", help="The store that episodes are added to.")] = Path(
        "gateway.sqlite"
    ),
    runs: Annotated[Path, typer.Option("--runs", help="Where runs are looked for by name.")] = Path("runs"),
    model: Annotated[str, typer.Option("--model", help="The model behind a URL that serves several.")] = "",
    api_key_env: ApiKeyEnv = "OPENAI_API_KEY",
    requests_per_minute: RequestsPerMinute = None,
) -> None:
    """Serve a policy to agents of any make, and keep what they do as episodes.

    Agents call it as they call OpenAI (chat completions, responses) or Anthropic (messages). What is called below
    /rollout/ID/attempt/N is one episode, complete when its reward is posted there. Ctrl-C stops.

    Example: agentgym gateway --policy runs/reference
    """
    from agentgym.core.policy import Sampling
    from agentgym.serving.gateway import Gateway
    from agentgym.store.store import Store
    from agentgym.store.writer import EpisodeWriter
    from agentgym.training.run import installed_versions

    prepare_output(out)
    opened = _open(policy, runs, model, EndpointOptions(api_key_env, requests_per_minute=requests_per_minute))
    with ExitStack() as stack:
        kept = 0
        run_id = f"gateway-{datetime.now():%Y%m%d-%H%M%S-%f}"
        writer: EpisodeWriter | None = None

        def keep(episode: Episode) -> None:
            nonlocal writer, kept
            if writer is None:  # no file, and no run in it, for a gateway that nothing came to
                store = stack.enter_context(Store(out))
                store.create_run(run_id, "gateway", config=opened.config, versions=installed_versions())
                writer = stack.enter_context(EpisodeWriter(store, run_id))
            writer.write(episode, iteration=0)
            kept += 1

        served = Gateway(
            opened.policy,
            model=name or opened.name,
            sampling=Sampling(temperature=temperature, max_tokens=max_tokens),
            seed=seed,
            token=token,
            host=host,
            port=port,
            on_episode=keep,
            on_problem=tell,
        )
        asyncio.run(_serve(served, shown_token=token is None))
        console().print(f"Stopped. {kept} episodes in {out}, run {run_id}.", markup=False, soft_wrap=True)


def _open(name: str, runs: Path, model: str, options: EndpointOptions) -> _Opened:
    if is_endpoint(name):
        endpoint = open_endpoint(name, model, options)
        return _Opened(endpoint, endpoint.model, {"policy": name, "model": endpoint.model})
    from agentgym.training.run import Run

    run = Run.open(name, runs)
    return _Opened(newest_policy(run), run.name, run.recipe.model_dump(mode="json"))


async def _serve(gateway: Gateway, *, shown_token: bool) -> None:
    with stop_request() as stopped:
        async with gateway:
            lines = [
                f"Serving {gateway.model} at {gateway.url}",
                f"OPENAI_BASE_URL     {gateway.base_url('ID')}",
                f"ANTHROPIC_BASE_URL  {gateway.base_url('ID').removesuffix('/v1')}",
                f"Key                 {gateway.token}"
                if shown_token
                else "Key                 the given token",
                f'Reward              POST {gateway.base_url("ID").removesuffix("/v1")}/reward {{"reward": 1.0}}',
            ]
            console().print("\n".join(lines), markup=False, soft_wrap=True)
            await stopped.wait()


@contextmanager
def stop_request() -> Generator[asyncio.Event]:
    """Give what is set when the process is asked to stop, by Ctrl-C or by whoever started it."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for kind in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(kind, stopped.set)
    try:
        yield stopped
    finally:
        for kind in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(kind)


def tell(problem: str) -> None:
    """Write a line about something that a server did not carry out, with the time, for its operator."""
    line = f"{datetime.now():%H:%M:%S} {problem}"
    error_console().print(line, markup=False, soft_wrap=True)
