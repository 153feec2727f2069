"""`agentgym eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentgym.cli.console import console, print_json
from agentgym.cli.options import AsJson, EnvOptions, RunsRoot, Seed, SplitName, parse_options, prepare_output
from agentgym.cli.policies import (
    AgainstModel,
    AgentName,
    ApiKeyEnv,
    MaxTokens,
    Model,
    Prices,
    RequestsPerMinute,
)
from agentgym.core.errors import UsageError

if TYPE_CHECKING:
    from agentgym.cli.evaluating import Played
    from agentgym.evaluation.runs import Arguments

_LIMITS = "Limits"

Suites = Annotated[
    list[str] | None,
    typer.Argument(help="Suites of tasks: environments by id or short name, or `all` of them."),
]
PolicyName = Annotated[
    str | None, typer.Option("--policy", help="A run, random, oracle, openai:MODEL, vllm:PATH, a URL.")
]
Against = Annotated[
    str | None, typer.Option("--against", help="A second policy, compared on the same tasks and seeds.")
]
Limit = Annotated[
    int, typer.Option("--limit", "--episodes", min=1, help="Tasks of each part of the split (seen, unseen).")
]
Epochs = Annotated[int, typer.Option("--epochs", "--samples", min=1, help="Episodes of each task.")]
Temperature = Annotated[float, typer.Option("--temperature", min=0, help="0 is greedy.")]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume", metavar="RUN", help="Go on with an evaluation, with a new --cost-limit if given."
    ),
]
Name = Annotated[str | None, typer.Option("--name", help="Name of the run directory.")]
Concurrency = Annotated[int, typer.Option("--concurrency", min=1, help="Most episodes at a time.")]
MaxTurns = Annotated[
    int | None,
    typer.Option(
        "--max-turns",
        min=1,
        help="Turns of an episode. Default: the run's own, else 50.",
        rich_help_panel=_LIMITS,
    ),
]
TokenLimit = Annotated[
    int | None,
    typer.Option("--token-limit", min=1, help="Tokens that an episode samples.", rich_help_panel=_LIMITS),
]
TimeLimit = Annotated[
    float | None,
    typer.Option("--time-limit", min=0.001, help="Seconds of an episode.", rich_help_panel=_LIMITS),
]
CostLimit = Annotated[
    float | None,
    typer.Option("--cost-limit", min=0, help="Of the whole, at --prices.", rich_help_panel=_LIMITS),
]


def evaluate(
    context: typer.Context,
    suites: Suites = None,
    policy: PolicyName = None,
    split: SplitName = "heldout",
    against: Against = None,
    limit: Limit = 100,
    epochs: Epochs = 1,
    seed: Seed = 0,
    temperature: Temperature = 0.0,
    max_turns: MaxTurns = None,
    token_limit: TokenLimit = None,
    time_limit: TimeLimit = None,
    cost_limit: CostLimit = None,
    option: EnvOptions = None,
    agent: AgentName = None,
    concurrency: Concurrency = 64,
    runs: RunsRoot = Path("runs"),
    name: Name = None,
    resume: Resume = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the evaluation as JSON here.")] = None,
    as_json: AsJson = False,
    model: Model = "",
    against_model: AgainstModel = "",
    api_key_env: ApiKeyEnv = "OPENAI_API_KEY",
    prices: Prices = None,
    requests_per_minute: RequestsPerMinute = None,
    max_tokens: MaxTokens = 512,
) -> None:
    """Evaluate a policy on a split's tasks, and compare it with another on the same ones.

    A model behind an OpenAI-compatible URL, such as http://127.0.0.1:8000/v1, or a directory that vLLM is to run
    (vllm:PATH), is shown what it can do at each turn, and may think before it acts; a run plays as it was trained.
    Episodes are kept in a run directory as they end.

    Example: agentgym eval household --policy oracle --against random --limit 9
    """
    from agentgym.cli.evaluating import begin, go_on, make_arguments

    prepare_output(out)
    if resume is not None:
        if suites or policy or against or name:
            raise UsageError("--resume goes on with an evaluation as it was begun; give no suite or policy.")
        _finish([[go_on(resume, runs, concurrency, cost_limit)]], out, as_json)
        return
    if not suites:
        context.fail("Missing argument 'SUITES...'.")
    if policy is None:
        context.fail("Missing option '--policy'.")
    shared = {
        "agent": agent,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "api_key_env": api_key_env,
    }
    shared |= {
        "prices": prices,
        "requests_per_minute": requests_per_minute,
        "tasks": limit,
        "samples": epochs,
    }
    shared |= {"seed": seed, "token_limit": token_limit, "time_limit": time_limit, "cost_limit": cost_limit}
    players = [(policy, model), *([(against, against_model)] if against is not None else [])]
    asked: list[list[Arguments]] = make_arguments(
        suites, split, players, max_turns, parse_options(option), shared
    )
    _finish(begin(asked, runs, name, concurrency), out, as_json)


def _finish(found: list[list[Played]], out: Path | None, as_json: bool) -> None:
    """Show what was played, by suite, and write the first where it is asked for."""
    from agentgym.cli.evaluating import show, to_data

    if as_json:
        print_json(to_data(found))
    else:
        for players in found:
            show(players)
    if out is not None:
        found[0][0].evaluation.save(out)
        if not as_json:
            console().print(f"Written to {out}.", markup=False, soft_wrap=True)
