"""`agentgym gateway`."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from agentgym.cli.options import AsJson, RunsRoot, Seed, prepare_output
from agentgym.cli.policies import (
    ApiKeyEnv,
    EndpointOptions,
    RequestsPerMinute,
    is_endpoint,
    newest_policy,
    open_endpoint,
)
from agentgym.cli.servers import Host, Port, Token, announce, stop_request, tell

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
    port: Port = 0,
    host: Host = "127.0.0.1",
    token: Token = None,
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
    runs: RunsRoot = Path("runs"),
    model: Annotated[str, typer.Option("--model", help="The model behind a URL that serves several.")] = "",
    api_key_env: ApiKeyEnv = "OPENAI_API_KEY",
    requests_per_minute: RequestsPerMinute = None,
    as_json: AsJson = False,
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
        asyncio.run(_serve(served, shown_token=token is None, as_json=as_json))
        ended = {"episodes": kept, "store": str(out), "run": run_id}
        announce([f"Stopped. {kept} episodes in {out}, run {run_id}."], ended, as_json=as_json)


def _open(name: str, runs: Path, model: str, options: EndpointOptions) -> _Opened:
    if is_endpoint(name):
        endpoint = open_endpoint(name, model, options)
        return _Opened(endpoint, endpoint.model, {"policy": name, "model": endpoint.model})
    from agentgym.training.run import Run

    run = Run.open(name, runs)
    return _Opened(newest_policy(run), run.name, run.recipe.model_dump(mode="json"))


async def _serve(gateway: Gateway, *, shown_token: bool, as_json: bool) -> None:
    with stop_request() as stopped:
        async with gateway:
            openai = gateway.base_url("ID")
            anthropic = openai.removesuffix("/v1")
            lines = [
                f"Serving {gateway.model} at {gateway.url}",
                f"OPENAI_BASE_URL     {openai}",
                f"ANTHROPIC_BASE_URL  {anthropic}",
                f"Key                 {gateway.token if shown_token else 'the given token'}",
                f'Reward              POST {anthropic}/reward {{"reward": 1.0}}',
            ]
            token = gateway.token if shown_token else None
            data = {"model": gateway.model, "url": gateway.url, "token": token}
            data |= {"openai": openai, "anthropic": anthropic}
            announce(lines, data, as_json=as_json)
            await stopped.wait()
