"""`agentgym envs`, `agentgym play`, `agentgym check`."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from agentgym.cli.console import aside, console, print_json, working
from agentgym.cli.options import (
    AsJson,
    EnvName,
    EnvOptions,
    Seed,
    SplitName,
    parse_options,
    prepare_output,
)
from agentgym.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from agentgym.conformance.report import CheckResult, Report
    from agentgym.core.env import AgentEnv, EnvSpec

_SANDBOX = "sandbox"
PLAY_WIDTH = 100
"""Longer lines of prose are hard to read, however wide the terminal."""


def envs(as_json: AsJson = False) -> None:
    """List the environments and how many tasks each split has.

    Example: agentgym envs
    """
    from agentgym.core.task import Split
    from agentgym.registry import registered

    with working("Counting tasks"):
        found = [(spec, _task_counts(spec)) for spec in registered().values()]
    if as_json:
        print_json(
            [
                {"name": spec.name, "id": spec.id, "summary": spec.summary, "tasks": counts}
                for spec, counts in found
            ]
        )
        return
    table = Table(box=None)
    table.add_column("environment", no_wrap=True)
    table.add_column("id, and what it is")
    for split in Split:
        table.add_column(split.value, justify="right", no_wrap=True)
    for spec, counts in found:
        shown = [f"{counts[split]:,}" if counts else "-" for split in Split]
        table.add_row(spec.name, Text.assemble(spec.id, "\n", (spec.summary, "dim")), *shown)
    console().print(table)


def _task_counts(spec: EnvSpec) -> dict[str, int] | None:
    """Return the number of tasks of each split; None where that takes an option, such as where the data lies."""
    from agentgym.core.task import Split

    try:
        suite = spec.suite()
        return {split.value: len(suite.tasks(split)) for split in Split}
    except UsageError:
        return None


def play(
    env: EnvName,
    split: SplitName = "train",
    task: Annotated[str | None, typer.Option("--task", help="A task's id; otherwise one is drawn.")] = None,
    seed: Seed = 0,
    option: EnvOptions = None,
) -> None:
    """Play an environment yourself, with hints from the admissible actions.

    Example: agentgym play household --seed 3
    """
    from agentgym.registry import make

    out = console()
    out.width = min(out.width, PLAY_WIDTH)
    with closing(make(env, split, **parse_options(option))) as world:
        _play(world, task, seed, out)


def _play(world: AgentEnv, task: str | None, seed: int, out: Console) -> None:
    from agentgym.agents.human import HumanAgent, PlayerQuit
    from agentgym.core.agent import EpisodeStart

    observation, info = world.reset(seed=seed, options={"task": task} if task else None)
    out.print(Text.assemble("Task ", (world.task.id, "bold")))
    session = HumanAgent(out, None if sys.stdin.isatty() else sys.stdin).start(
        EpisodeStart("play", world.task, seed, world)
    )
    score, turns, over = 0.0, 0, False
    # Not asyncio.run: it keeps the first Ctrl-C from reaching the prompt.
    with closing(asyncio.new_event_loop()) as loop:
        while not over:
            try:
                decision = loop.run_until_complete(session.act(observation, info))
            except PlayerQuit:
                break
            except KeyboardInterrupt:
                out.print()  # leave the prompt's line
                break
            observation, reward, terminated, truncated, info = world.step(decision.action)
            score, turns, over = score + float(reward), turns + 1, terminated or truncated
    length = f"{turns} turn" if turns == 1 else f"{turns} turns"
    if not over:
        out.print(f"You left after {length}.")
        return
    session.show(observation)
    verdict = "[green]Solved[/]" if info["success"] else "[yellow]Not solved[/]"
    out.print(f"{verdict} after {length}; score {score:g}.")


def check(
    env: Annotated[
        str,
        typer.Argument(help="An environment's id or short name; see `agentgym envs`. Or the word `sandbox`."),
    ],
    backend: Annotated[
        str | None, typer.Argument(help="After `sandbox`: which one is attacked, process or docker.")
    ] = None,
    option: EnvOptions = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Run only this check, or group of checks; may be repeated."),
    ] = None,
    seed: Seed = 0,
    report: Annotated[Path | None, typer.Option("--report", help="Write the results as JSON here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check that an environment keeps its contract; exits with 1 where it does not.

    `agentgym check sandbox process` tries attacks on a sandbox instead, for real: all of them must fail.

    Example: agentgym check household --only semantic
    """
    options = parse_options(option)
    if env != _SANDBOX:
        if backend is not None:
            raise UsageError(f"Only `check sandbox` takes a second word, got {backend!r} after {env!r}.")
        must_be_makeable(env, options)
    elif options:
        raise UsageError("`check sandbox` takes no options of an environment; leave --option out.")
    prepare_output(report)
    out = aside(as_json)
    found = _found(env, backend or "process", options, only, seed, lambda result: _show(result, out))
    if report is not None:
        report.write_text(json.dumps(found.to_json(), indent=2) + "\n", "utf-8")
    if as_json:
        print_json(found.to_json())
    elif found.passed:
        holds = "withstands all attacks" if env == _SANDBOX else "keeps the contract"
        out.print(f"[green]{found.subject} {holds}.[/]")
    else:
        out.print(f"[bold red]{len(found.failures)} of {len(found.results)} checks failed.[/]")
    if not found.passed:
        raise typer.Exit(1)


def _found(
    env: str,
    backend: str,
    options: dict[str, Any],
    only: list[str] | None,
    seed: int,
    on_result: Callable[[CheckResult], None],
) -> Report:
    if env == _SANDBOX:
        from agentgym.conformance.sandbox import check_sandbox

        return check_sandbox(backend, only=only or None, on_result=on_result)
    from agentgym.conformance.env import check_env

    return check_env(env, options=options, only=only or None, seed=seed, on_result=on_result)


def must_be_makeable(env: str, options: dict[str, Any]) -> None:
    """Raise the `UsageError` that making the environment raises: wrong options are told once, not by each
    check. Any other failure is a finding, and left to the checks."""
    from agentgym.registry import find_spec, make

    find_spec(env)
    try:
        make(env, **options).close()
    except UsageError:
        raise
    except Exception:  # noqa: BLE001 - the checks meet it again and report it
        return


def _show(result: CheckResult, out: Console) -> None:
    from agentgym.conformance.report import Status

    colours = {Status.PASS: "green", Status.FAIL: "bold red", Status.SKIP: "yellow"}
    line = Table.grid(padding=(0, 1))
    line.add_column(width=4)
    line.add_column(width=31, no_wrap=True)
    line.add_column(width=8, justify="right")
    line.add_column(overflow="fold")
    status = Text(result.status.value, colours[result.status])
    line.add_row(status, result.id, f"{result.seconds:.2f} s", Text(result.message))
    out.print(line)
