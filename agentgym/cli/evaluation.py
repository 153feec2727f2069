"""`agentgym eval`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from agentgym.cli.console import console, error_console
from agentgym.cli.options import EnvName, EnvOptions, Seed, SplitName, parse_options, prepare_output
from agentgym.core.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from agentgym.core.agent import Agent
    from agentgym.evaluation.report import Evaluation
    from agentgym.rollout.monitor import Monitor
    from agentgym.rollout.rules import Rules
    from agentgym.training.recipe import EnvironmentSection

SCRIPTED = ("random", "oracle")
MAX_TURNS = 50
"""Where no run says how many turns it was trained with."""


class _Player(NamedTuple):
    agent: Agent
    trained_in: EnvironmentSection | None
    """Where the run's policy learned; None for scripted agents."""
    rules: Rules | None = None
    """Those that the run was trained by."""


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

    Example: agentgym eval household --policy oracle --against random --episodes 9
    """
    from agentgym.core.task import Split
    from agentgym.evaluation.compare import compare
    from agentgym.evaluation.runner import evaluate as play
    from agentgym.evaluation.tables import comparison_table, evaluation_table
    from agentgym.registry import find_spec

    env, split = find_spec(env).id, Split.parse(split)
    players = [_open(name, env, temperature, runs) for name in (policy, against) if name is not None]
    sections = [player.trained_in for player in players if player.trained_in is not None]
    options = {**(sections[0].options if sections else {}), **parse_options(option)}
    turns = max_turns or (sections[0].max_turns if sections else MAX_TURNS)
    prepare_output(out)
    with _bar() as bar:

        def played(player: _Player) -> Evaluation:
            task = bar.add_task(player.agent.name, total=None, note="")
            return asyncio.run(
                play(
                    env,
                    player.agent,
                    split,
                    tasks=episodes,
                    samples=samples,
                    seed=seed,
                    max_turns=turns,
                    options=options,
                    rules=player.rules,
                    monitor=_monitor(bar, task),
                    on_progress=lambda _, done, total: bar.update(task, completed=done, total=total),
                )
            )

        found = [played(player) for player in players]
    screen = console()
    for evaluation in found:
        screen.print(evaluation_table(evaluation))
    if len(found) > 1:
        screen.print(comparison_table(compare(found[1], found[0])))
    screen.print(_conditions(found[0]), markup=False)
    if any(section != sections[0] for section in sections):
        screen.print("The two runs were trained under other conditions than each other.", style="yellow")
    if out is not None:
        found[0].save(out)
        screen.print(f"Written to {out}.", markup=False, soft_wrap=True)


def _conditions(evaluation: Evaluation) -> str:
    options = ", ".join(f"{key} = {value!r}" for key, value in evaluation.options.items())
    return f"At most {evaluation.max_turns} turns; environment options: {options or 'none'}."


def _bar() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    out = error_console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    )


def _monitor(bar: Progress, task: TaskID) -> Monitor:
    """Return a monitor that shows beside the bar how fast it goes, and says what an operator should know."""
    from agentgym.rollout.monitor import Monitor

    def say(line: str) -> None:
        bar.console.print(line, markup=False, soft_wrap=True)

    return Monitor(on_figures=lambda figures: bar.update(task, note=figures.line), say=say)


def _open(name: str, env: str, temperature: float, runs: Path) -> _Player:
    """Return the agent called `name`: a scripted one, or the policy of a run."""
    from agentgym.agents.scripted import OracleAgent, RandomAgent

    if name == "random":
        return _Player(RandomAgent(), None)
    if name == "oracle":
        return _Player(OracleAgent(), None)
    from agentgym.registry import find_spec
    from agentgym.training.assembly import make_agent, make_policy, open_model
    from agentgym.training.checkpoint import latest_checkpoint
    from agentgym.training.run import Run

    run = Run.open(name, runs, also=SCRIPTED)
    recipe = run.recipe
    if find_spec(recipe.environment.id).id != env:
        raise UsageError(
            f"The run {run.path} was trained in {recipe.environment.id}, not in {env}; evaluate it there."
        )
    latest = latest_checkpoint(run.checkpoints)
    policy = make_policy(recipe, open_model(recipe, str(latest.path)))
    policy.set_version(latest.iteration)
    agent = make_agent(recipe, policy, temperature, name=run.name)
    return _Player(agent, recipe.environment, recipe.rollout.rules)
