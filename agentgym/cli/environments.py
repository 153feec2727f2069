"""`agentgym envs`, `agentgym play`, `agentgym check`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from agentgym.cli.console import console
from agentgym.cli.options import EnvName, EnvOptions, Seed, SplitName, parse_options
from agentgym.core.errors import UsageError


def envs() -> None:
    """List the environments and how many tasks each split has.

    Example:  agentgym envs
    """
    from agentgym.core.task import Split
    from agentgym.registry import registered

    table = Table("environment", "id", *(split.value for split in Split), "what it is", box=None)
    for spec in registered().values():
        try:
            suite = spec.suite()
            counts = [f"{len(suite.tasks(split)):,}" for split in Split]
        except UsageError:  # it needs an option, such as where its data lies
            counts = ["-"] * len(Split)
        table.add_row(spec.name, spec.id, *counts, spec.summary)
    console().print(table)


def play(
    env: EnvName,
    split: SplitName = "train",
    task: Annotated[str | None, typer.Option("--task", help="A task's id; otherwise one is drawn.")] = None,
    seed: Seed = 0,
    option: EnvOptions = None,
) -> None:
    """Play an environment yourself, with hints from the admissible actions.

    Example:  agentgym play household --seed 3
    """
    from agentgym.agents.human import HumanAgent, PlayerQuit
    from agentgym.core.agent import EpisodeStart
    from agentgym.registry import make

    world = make(env, split, **parse_options(option))
    out = console()
    observation, info = world.reset(seed=seed, options={"task": task} if task else None)
    out.print(f"Task [bold]{world.task.id}[/]", highlight=False)
    stream = None if sys.stdin.isatty() else sys.stdin
    session = HumanAgent(out, stream).start(EpisodeStart("play", world.task, seed, world))
    score, turns, over = 0.0, 0, False
    while not over:
        try:
            decision = asyncio.run(session.act(observation, info))
        except PlayerQuit:
            out.print(f"You left after {turns} turns.")
            return
        observation, reward, terminated, truncated, info = world.step(decision.action)
        score, turns, over = score + float(reward), turns + 1, terminated or truncated
    out.print(str(observation))
    verdict = "[green]Solved[/]" if info["success"] else "[yellow]Not solved[/]"
    out.print(f"{verdict} after {turns} turns; score {score:g}.")


def check(
    env: EnvName,
    option: EnvOptions = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Run only this check, or group of checks; may be repeated."),
    ] = None,
    seed: Seed = 0,
    report: Annotated[Path | None, typer.Option("--report", help="Write the results as JSON here.")] = None,
) -> None:
    """Check that an environment keeps its contract; exits with 1 where it does not.

    Example:  agentgym check household --only semantic
    """
    import json

    from agentgym.conformance.env import check_env
    from agentgym.conformance.report import CheckResult, Status

    out = console()
    colours = {Status.PASS: "green", Status.FAIL: "bold red", Status.SKIP: "yellow"}

    def show(result: CheckResult) -> None:
        mark = f"[{colours[result.status]}]{result.status.value:<4}[/]"
        out.print(f"{mark}  {result.id:<32} {result.seconds:6.2f} s  ", end="")
        out.print(result.message, markup=False, soft_wrap=True)

    found = check_env(env, options=parse_options(option), only=only or None, seed=seed, on_result=show)
    if report is not None:
        report.write_text(json.dumps(found.to_json(), indent=2) + "\n", "utf-8")
    if not found.passed:
        out.print(f"[bold red]{len(found.failures)} of {len(found.results)} checks failed.[/]")
        raise typer.Exit(1)
    out.print(f"[green]{found.subject} keeps the contract.[/]")
