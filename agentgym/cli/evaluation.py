"""`agentgym eval`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from agentgym.cli.console import console
from agentgym.cli.options import EnvName, EnvOptions, Seed, SplitName, parse_options
from agentgym.core.errors import UsageError

if TYPE_CHECKING:
    from agentgym.core.agent import Agent

SCRIPTED = ("random", "oracle")


class _Player(NamedTuple):
    agent: Agent
    max_turns: int | None
    """What the agent was trained with, where that is known."""
    options: dict[str, Any]


def evaluate(
    env: EnvName,
    policy: Annotated[str, typer.Option("--policy", help="A run, or random, or oracle.")],
    split: SplitName = "heldout",
    against: Annotated[
        str | None, typer.Option("--against", help="A second policy, compared on the same tasks and seeds.")
    ] = None,
    episodes: Annotated[
        int, typer.Option("--episodes", min=1, help="Tasks of each part of the split (seen, unseen).")
    ] = 100,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Episodes of each task.")] = 1,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="0 is greedy.")] = 0.0,
    max_turns: Annotated[
        int | None, typer.Option("--max-turns", min=1, help="Default: the run's own, else 50.")
    ] = None,
    seed: Seed = 0,
    option: EnvOptions = None,
    runs: Annotated[Path, typer.Option("--runs", help="Where runs are looked for by name.")] = Path("runs"),
    out: Annotated[Path | None, typer.Option("--out", help="Write the evaluation as JSON here.")] = None,
) -> None:
    """Evaluate a policy on a split's tasks, and compare it with another on the same ones.

    Example:  agentgym eval household --policy oracle --against random --episodes 20
    """
    from agentgym.evaluation.compare import compare
    from agentgym.evaluation.report import Evaluation
    from agentgym.evaluation.runner import evaluate as play
    from agentgym.evaluation.tables import comparison_table, evaluation_table

    players = [_open(name, env, temperature, runs) for name in (policy, against) if name is not None]
    options = {**players[0].options, **parse_options(option)}
    turns = max_turns or players[0].max_turns or 50
    found: list[Evaluation] = []
    with _bar() as bar:
        for player in players:
            task = bar.add_task(player.agent.name, total=None)
            evaluation = asyncio.run(
                play(
                    env,
                    player.agent,
                    split,
                    tasks=episodes,
                    samples=samples,
                    seed=seed,
                    max_turns=turns,
                    options=options,
                    on_progress=lambda _, done, total, task=task: bar.update(
                        task, completed=done, total=total
                    ),
                )
            )
            found.append(evaluation)
    for evaluation in found:
        console().print(evaluation_table(evaluation))
    if len(found) > 1:
        console().print(comparison_table(compare(found[1], found[0])))
    if out is not None:
        found[0].save(out)
        console().print(f"Written to {out}.")


def _bar() -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from agentgym.cli.console import error_console

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=error_console(),
        transient=True,
    )


def _open(name: str, env: str, temperature: float, runs: Path) -> _Player:
    """Return the agent called `name`: a scripted one, or the policy of a run."""
    from agentgym.agents.scripted import OracleAgent, RandomAgent

    if name == "random":
        return _Player(RandomAgent(), None, {})
    if name == "oracle":
        return _Player(OracleAgent(), None, {})
    from agentgym.registry import find_spec
    from agentgym.training.assembly import make_agent, make_policy, open_model
    from agentgym.training.checkpoint import latest_checkpoint
    from agentgym.training.run import Run

    run = Run.open(name, runs, also=SCRIPTED)
    recipe = run.recipe
    if find_spec(recipe.environment.id).id != find_spec(env).id:
        raise UsageError(f"The run {run.path} was trained in {recipe.environment.id}, not in {env!r}.")
    loaded = open_model(recipe, str(latest_checkpoint(run.checkpoints).path))
    agent = make_agent(recipe, make_policy(recipe, loaded), temperature, name=run.name)
    return _Player(agent, recipe.environment.max_turns, recipe.environment.options)
