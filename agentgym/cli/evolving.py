"""What `agentgym evolve` does: begins an evolution or goes on with one, and shows what came of it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from shlex import quote
from types import TracebackType
from typing import Any, NamedTuple, Self

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from agentgym.cli.acting import acting
from agentgym.cli.console import console, error_console, show_error
from agentgym.cli.policies import EndpointOptions, is_endpoint, open_endpoint
from agentgym.core.agent import Agent
from agentgym.core.env import AgentEnv
from agentgym.core.errors import AgentGymError, ConfigError, UsageError
from agentgym.core.memory import Memory
from agentgym.core.trace import Episode
from agentgym.evaluation.compare import Comparison
from agentgym.evaluation.tables import comparison_table
from agentgym.evolution.distilling.scripted import NAME as SCRIPTED
from agentgym.evolution.distilling.scripted import ScriptedEvolver
from agentgym.evolution.figures import BatchFigures
from agentgym.evolution.growing import grow, worth
from agentgym.evolution.proposing import Evolver
from agentgym.evolution.report.page import render
from agentgym.evolution.run import EvolutionRun
from agentgym.evolution.settings import EvolveSettings
from agentgym.evolution.writing import PolicyEvolver
from agentgym.registry import find_spec, recordable
from agentgym.rollout.rules import Rules
from agentgym.store.store import Store


class _Cast(NamedTuple):
    """Who takes part."""

    make_agent: Callable[[Memory | None], Agent]
    make_evolver: Callable[[Callable[[], AgentEnv]], Evolver]
    rules: Rules | None


def begin(
    env: str, asked: Mapping[str, Any], root: Path, name: str | None, evaluate: int, as_json: bool
) -> None:
    """Begin an evolution of `env` in a new run directory and carry it out."""
    from agentgym.training.run import installed_versions

    if name is not None and Path(name).name != name:
        raise UsageError(f"--name is the name of one directory, got {name!r}; say with --runs where it goes.")
    model: str = asked["model"]
    evolver = asked["evolver"] or (model if is_endpoint(model) else SCRIPTED)
    env_id = recordable(env) if "://" in env else find_spec(env).id
    try:
        settings = EvolveSettings.model_validate({**asked, "env_id": env_id, "evolver": evolver})
    except ValidationError as error:
        first = error.errors()[0]
        told = first["msg"].removeprefix("Value error, ").removesuffix(".")
        raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {told}.") from None
    taking_part = _cast(settings, root)
    run = EvolutionRun.create(settings, root, name, versions=installed_versions())
    _carry_out(run, settings, taking_part, evaluate, as_json, new=True)


def go_on(name: str, root: Path, evaluate: int, as_json: bool) -> None:
    """Do what is left of an evolution."""
    run = EvolutionRun.open(name, root)
    settings = run.settings()
    _carry_out(run, settings, _cast(settings, root), evaluate, as_json, new=False)


def _carry_out(
    run: EvolutionRun, settings: EvolveSettings, cast: _Cast, evaluate: int, as_json: bool, *, new: bool
) -> None:
    comparison = None
    try:
        with TerminalWatcher(error_console(), settings) as watcher:
            figures = asyncio.run(
                grow(
                    run,
                    cast.make_agent,
                    cast.make_evolver,
                    watcher,
                    rules=cast.rules,
                )
            )
        if evaluate:
            comparison = asyncio.run(worth(run, cast.make_agent, evaluate, rules=cast.rules))
    except KeyboardInterrupt:
        _say_how_to_resume(run, "Interrupted. What was played and written is safe; go on with:")
        raise typer.Exit(130) from None
    except (AgentGymError, OSError) as error:
        code = show_error(error)
        if new and isinstance(error, UsageError) and not _has_episodes(run):
            shutil.rmtree(run.path)  # what was asked for cannot be
        else:
            _say_how_to_resume(run, "What was played and written is safe. Once that is mended, go on with:")
        raise typer.Exit(code) from None
    with run.library(settings, create=False) as library:
        run.report.write_text(render(settings, figures, library, comparison), "utf-8")
    if as_json:
        told = {
            "run": str(run.path),
            "report": str(run.report),
            "batches": figures,
            "comparison": comparison and comparison.to_data(),
        }
        typer.echo(json.dumps(told, indent=1))
    else:
        _show(run, figures, comparison)


def _show(run: EvolutionRun, figures: list[BatchFigures], comparison: Comparison | None) -> None:
    out = console()
    table = Table(box=None)
    for column in (
        "batch",
        "success",
        "95 %",
        "made",
        "used",
        "active",
        "on trial",
        "retired",
        "EGL",
        "helps",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for each in figures:
        table.add_row(*_row(each))
    out.print(table)
    if comparison is not None:
        out.print(comparison_table(comparison))
    out.print(f"Kept in {run.path}; the page about it is {run.report}.", markup=False, soft_wrap=True)


def _row(each: BatchFigures) -> list[str]:
    counts = {
        status: sum(own.get(status, 0) for own in each["sizes"].values())
        for status in ("active", "shadow", "retired")
    }
    low, high = each["low"] or 0.0, each["high"] or 0.0
    return [
        str(each["batch"]),
        f"{100 * (each['success'] or 0.0):.1f} %",
        f"{100 * low:.1f} to {100 * high:.1f}",
        str(len(each["made"])),
        str(each["used"]),
        *(str(count) for count in counts.values()),
        "-" if each["egl"] is None else f"{each['egl']:.3f}",
        f"{each['next_helps']:.2f}",
    ]


class TerminalWatcher:
    """Shows on a terminal which batch and phase it is, and how many episodes are played; a context manager."""

    def __init__(self, out: Console, settings: EvolveSettings) -> None:
        self._settings = settings
        self._bar = Progress(
            TextColumn("batch {task.fields[batch]} of {task.fields[batches]}: {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=out,
            transient=True,
            disable=not out.is_terminal,
        )
        total = settings.tasks * settings.rollouts
        self._task = self._bar.add_task("act", total=total, batch=1, batches=settings.batches, note="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def phase(self, batch: int, name: str) -> None:
        """Show the phase."""
        if name == "act":
            self._bar.reset(self._task, description=name, batch=batch)
        else:
            self._bar.update(self._task, description=name)

    def episode(self, batch: int, episode: Episode) -> None:
        """Count the episode."""
        self._bar.advance(self._task)

    def batch(self, figures: BatchFigures) -> None:
        """Show how the batch went."""
        counts = [own.get("active", 0) for own in figures["sizes"].values()]
        success = 100 * (figures["success"] or 0.0)
        self._bar.update(self._task, note=f"last batch: {success:.0f} %, {sum(counts)} active items")


def _cast(settings: EvolveSettings, root: Path) -> _Cast:
    make_agent, rules = acting(settings, root)
    if settings.evolver == SCRIPTED:

        def scripted(make_env: Callable[[], AgentEnv]) -> Evolver:
            return ScriptedEvolver(make_env, space=settings.space, tools=settings.tools)

        return _Cast(make_agent, scripted, rules)
    if not is_endpoint(settings.evolver):
        raise UsageError(f"An evolver is 'scripted', a URL or openai:MODEL, got {settings.evolver!r}.")
    name = settings.evolver_name or (settings.model_name if settings.evolver == settings.model else "")
    policy = open_endpoint(settings.evolver, name, EndpointOptions(settings.api_key_env))

    def written(_: Callable[[], AgentEnv]) -> Evolver:
        return PolicyEvolver(policy, name=policy.model, space=settings.space)

    return _Cast(make_agent, written, rules)


def _has_episodes(run: EvolutionRun) -> bool:
    with Store(run.store, create=False) as store:
        return bool(store.phases(run.name))


def _say_how_to_resume(run: EvolutionRun, why: str) -> None:
    command = f"agentgym evolve --resume {quote(str(run.path))}"
    error_console().print(f"{why}\n  {command}", markup=False, soft_wrap=True)
