"""Policies by name: a run, a scripted one, a model behind a URL, or one that vLLM runs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from agentgym.core.errors import UsageError

if TYPE_CHECKING:
    from agentgym.core.agent import Agent
    from agentgym.core.policy import Policy
    from agentgym.policies.endpoint import EndpointPolicy
    from agentgym.policies.local import LocalPolicy
    from agentgym.rollout.rules import Rules
    from agentgym.training.recipe import EnvironmentSection
    from agentgym.training.run import Run
    from agentgym.training.sections import Engine

SCRIPTED = ("random", "oracle")
OPENAI = "openai:"
VLLM = "vllm:"
_ENDPOINT = re.compile(r"https?://|openai:", re.IGNORECASE)
_PANEL = "Models behind a URL"

AgentName = Annotated[
    str | None,
    typer.Option(
        "--agent",
        help="What acts by the policies: chat, react, toolcalling or planner. Default: the run's own, else chat.",
    ),
]
Model = Annotated[
    str, typer.Option("--model", help="Its name; not needed where there is one.", rich_help_panel=_PANEL)
]
AgainstModel = Annotated[
    str, typer.Option("--against-model", help="The same for --against.", rich_help_panel=_PANEL)
]
Actor = Annotated[str, typer.Option("--model", help="Who acts: a URL, openai:MODEL, a run, or scripted.")]
ActorModel = Annotated[str, typer.Option("--model-name", help="The model at the URL, where it has several.")]
ApiKeyEnv = Annotated[
    str,
    typer.Option("--api-key-env", help="The environment variable with the key.", rich_help_panel=_PANEL),
]
Prices = Annotated[
    str | None,
    typer.Option(
        "--prices",
        metavar="PROMPT,COMPLETION",
        help="What a million tokens cost, to tell the sum.",
        rich_help_panel=_PANEL,
    ),
]
RequestsPerMinute = Annotated[
    int | None,
    typer.Option("--requests-per-minute", min=1, help="Most in any minute.", rich_help_panel=_PANEL),
]
MaxTokens = Annotated[
    int, typer.Option("--max-tokens", min=1, help="Most tokens in one answer.", rich_help_panel=_PANEL)
]


class EndpointOptions(NamedTuple):
    """How to treat models behind URLs, as the command line says it."""

    api_key_env: str = "OPENAI_API_KEY"
    prices: str | None = None
    requests_per_minute: int | None = None
    max_tokens: int = 512


class Player(NamedTuple):
    """An agent to play with."""

    agent: Agent
    trained_in: EnvironmentSection | None = None
    """Where the run's policy learned; None for others."""
    rules: Rules | None = None
    """Those that the run was trained by."""
    endpoint: EndpointPolicy | None = None
    """The policy behind it, where that is a server."""
    run: Run | None = None
    """Where its policy was trained."""

    @property
    def learned_from(self) -> frozenset[str]:
        """The content of the tasks that it was trained on, as far as that is known."""
        if self.run is None:
            return frozenset()
        from agentgym.training.lineage import learned_from

        return learned_from(self.run)


def is_endpoint(name: str) -> bool:
    """Whether a policy's name is the address of a server.

    >>> [is_endpoint(name) for name in ("http://127.0.0.1:8000/v1", "openai:gpt-x", "my-run")]
    [True, True, False]
    """
    return _ENDPOINT.match(name) is not None


def open_player(
    name: str,
    env: str,
    temperature: float,
    runs: Path,
    *,
    model: str = "",
    options: EndpointOptions,
    agent: str | None = None,
) -> Player:
    """Return the player called `name` for the environment with the id `env`; `agent` is the kind that acts by its
    policy, where that is not to be the run's own, or chat."""
    from agentgym.agents.kinds import agent_kind
    from agentgym.agents.scripted import OracleAgent, RandomAgent

    kind = None if agent is None else agent_kind(agent)
    if is_endpoint(name):
        endpoint = open_endpoint(name, model, options)
        player = _stranger(endpoint, endpoint.model, temperature, options.max_tokens, kind or "chat")
        return Player(player, endpoint=endpoint)
    if model:
        raise UsageError(f"{name} is not behind a URL, so it has no model to choose: got {model!r}.")
    if name == "random":
        return Player(RandomAgent())
    if name == "oracle":
        return Player(OracleAgent())
    engine: Engine = "local"
    if name.lower().startswith(VLLM):
        engine, name = "vllm", name[len(VLLM) :]
        if (Path(name) / "config.json").is_file():
            policy = _vllm_policy(name)
            return Player(_stranger(policy, Path(name).name, temperature, options.max_tokens, kind or "chat"))
    from agentgym.registry import find_spec
    from agentgym.training.assembly import make_agent
    from agentgym.training.remembering.saved import saved_memory
    from agentgym.training.run import Run

    run = Run.open(name, runs, also=SCRIPTED)
    section = run.recipe.environment
    if find_spec(section.id).id != env:
        raise UsageError(f"The run {run.path} was trained in {section.id}, not in {env}; evaluate it there.")
    policy, memory = newest_policy(run, engine), saved_memory(run)
    player = make_agent(run.recipe, policy, temperature, name=run.name, kind=kind, memory=memory)
    return Player(player, section, run.recipe.rollout.rules, run=run)


def newest_policy(run: Run, engine: Engine = "local") -> LocalPolicy:
    """Open the policy that a run's last checkpoint holds."""
    from agentgym.training.assembly import make_policy, open_model
    from agentgym.training.checkpoint import latest_checkpoint

    latest = latest_checkpoint(run.checkpoints)
    policy = make_policy(run.recipe, open_model(run.recipe, str(latest.path)), engine)
    policy.set_version(latest.iteration)
    return policy


def open_endpoint(name: str, model: str, options: EndpointOptions) -> EndpointPolicy:
    """Open the server called `name`: a URL, or `openai:MODEL`. Raises `ConfigError` where it does not answer."""
    from agentgym.policies.endpoint import OPENAI_URL, EndpointPolicy, EndpointSettings
    from agentgym.policies.spending import Prices as ParsedPrices

    url = name
    if name.lower().startswith(OPENAI):
        if model:
            raise UsageError(f"Name the model once: in {name}, or with --model.")
        url, model = OPENAI_URL, name[len(OPENAI) :]
        if not model:
            raise UsageError(f"{name} names no model; write openai:MODEL.")
    policy = EndpointPolicy(
        EndpointSettings(
            url=url,
            model=model,
            api_key_env=options.api_key_env,
            requests_per_minute=options.requests_per_minute,
            prices=ParsedPrices.parse(options.prices) if options.prices is not None else None,
        )
    )
    asyncio.run(policy.connect())
    return policy


def _vllm_policy(path: str) -> LocalPolicy:
    """Open a model's directory with vLLM in this process."""
    from agentgym.policies.models import load_model
    from agentgym.policies.vllm import VllmPolicy

    loaded = load_model(path)
    return VllmPolicy(loaded.model, loaded.tokenizer)


def _stranger(policy: Policy, name: str, temperature: float, max_tokens: int, kind: str) -> Agent:
    """Return an agent that tells a model which was not trained here what it can do."""
    from agentgym.agents.kinds import new_agent
    from agentgym.core.policy import Sampling

    return new_agent(
        kind,
        policy,
        sampling=Sampling(temperature=temperature, max_tokens=max_tokens),
        action_format="tagged" if kind in ("chat", "planner") else "plain",
        show_admissible=True,
        name=name,
    )
