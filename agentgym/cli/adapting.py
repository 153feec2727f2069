"""What `agentgym adapt` does: begins a search or goes on with one, and shows what it found."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from agentgym.cli.acting import acting
from agentgym.cli.bars import bars
from agentgym.cli.console import console, error_console, print_json, show_error
from agentgym.cli.policies import EndpointOptions, is_endpoint, open_endpoint
from agentgym.core.errors import AgentGymError, ConfigError, UsageError
from agentgym.evolution.adaptation.genome import Adaptation
from agentgym.evolution.adaptation.guiding import GuideWriter, PolicyGuides, ScriptedGuides
from agentgym.evolution.adaptation.run import AdaptationRun, AdaptSettings, adapt
from agentgym.evolution.adaptation.search import Candidate, Found
from agentgym.evolution.adaptation.varying import PolicyRewriter, Rewriter, ScriptedRewriter
from agentgym.registry import find_spec, recordable

SCRIPTED = "scripted"


def begin(env: str, asked: Mapping[str, Any], root: Path, name: str | None, as_json: bool) -> None:
    """Begin a search in a new run directory and carry it out."""
    if name is not None and Path(name).name != name:
        raise UsageError(f"--name is the name of one directory, got {name!r}; say with --runs where it goes.")
    model: str = asked["model"]
    file: Path | None = asked["start"]
    start = Adaptation() if file is None else Adaptation.read(file.read_text("utf-8"), str(file))
    writer = asked["writer"] or (model if is_endpoint(model) else SCRIPTED)
    env_id = recordable(env) if "://" in env else find_spec(env).id
    try:
        settings = AdaptSettings.model_validate(
            {**asked, "env_id": env_id, "writer": writer, "start": start.model_dump()}
        )
    except ValidationError as error:
        first = error.errors()[0]
        told = first["msg"].removeprefix("Value error, ").removesuffix(".")
        raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {told}.") from None
    _carry_out(AdaptationRun.create(settings, root, name), root, as_json, new=True)


def go_on(name: str, root: Path, as_json: bool) -> None:
    """Do what is left of a search."""
    _carry_out(AdaptationRun.open(name, root), root, as_json, new=False)


def _carry_out(run: AdaptationRun, root: Path, as_json: bool, *, new: bool) -> None:
    settings = run.settings()
    try:
        make_agent, rules = acting(settings, root)
        writer, rewriter = _writers(settings)
        with bars(error_console()) as progress:
            task = progress.add_task("search", total=settings.steps, note="")

            def on_step(step: int, best: Candidate) -> None:
                progress.update(task, completed=step + 1, note=f"best on train {best.train:.2f}")

            found = asyncio.run(adapt(run, make_agent, writer, rewriter, rules=rules, on_step=on_step))
    except KeyboardInterrupt:
        _say_how_to_resume(run, "Interrupted. What was played is kept; go on with:")
        raise typer.Exit(130) from None
    except (AgentGymError, OSError) as error:
        code = show_error(error)
        if new and isinstance(error, UsageError) and not run.ledger.is_file():
            shutil.rmtree(run.path)  # what was asked for cannot be
        else:
            _say_how_to_resume(run, "What was played is kept. Once that is mended, go on with:")
        raise typer.Exit(code) from None
    if as_json:
        print_json({"run": str(run.path), **found.model_dump(mode="json")})
    else:
        _show(run, found, console())


def _writers(settings: AdaptSettings) -> tuple[GuideWriter, Rewriter]:
    if settings.writer == SCRIPTED:
        return ScriptedGuides(), ScriptedRewriter()
    if not is_endpoint(settings.writer):
        raise UsageError(f"A writer is 'scripted', a URL or openai:MODEL, got {settings.writer!r}.")
    name = settings.writer_name or (settings.model_name if settings.writer == settings.model else "")
    policy = open_endpoint(settings.writer, name, EndpointOptions(settings.api_key_env))
    return PolicyGuides(policy), PolicyRewriter(policy)


def _show(run: AdaptationRun, found: Found, out: Console) -> None:
    table = Table(box=None)
    for column in ("train", "select"):
        table.add_column(column, justify="right")
    table.add_column("adaptation")
    for each in found.candidates:
        mark = " (start)" if each.adaptation == found.start.adaptation else ""
        select = "-" if each.select is None else f"{each.select:.3f}"
        table.add_row(f"{each.train:.3f}", select, f"{each.adaptation}{mark}")
    out.print(table)
    out.print(
        f"Chosen on {found.select_tasks} select tasks: {found.best.adaptation}\n"
        f"{found.gain:+.3f} over the start there ({found.low:+.3f} to {found.high:+.3f}, before the choice is counted).\n"
        f"Kept in {run.result}.",
        markup=False,
        soft_wrap=True,
    )


def _say_how_to_resume(run: AdaptationRun, why: str) -> None:
    command = f"agentgym adapt --resume {quote(str(run.path))}"
    error_console().print(f"{why}\n  {command}", markup=False, soft_wrap=True)
