"""`agentgym train` and `agentgym quickstart`."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from agentgym.cli.console import aside, error_console, print_json, show_error
from agentgym.cli.environments import must_be_makeable
from agentgym.cli.options import AsJson, Seed
from agentgym.core.errors import AgentGymError, UsageError

if TYPE_CHECKING:
    from agentgym.training.recipe import Recipe
    from agentgym.training.run import Run

RunsFolder = Annotated[Path, typer.Option("--runs", help="The folder that run directories are made in.")]
RunName = Annotated[str | None, typer.Option("--name", help="Name of the run directory.")]


def quickstart(
    seed: Seed = 0,
    runs: RunsFolder = Path("runs"),
    name: RunName = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Teach a small model the household world on this machine: minutes, no GPU, no key.

    Example: agentgym quickstart --seed 1
    """
    from agentgym.training.recipe import load_recipe

    recipe = load_recipe("quickstart", [f"seed={seed}", *(settings or [])])
    run = _new_run(recipe, runs, name)
    out = aside(as_json)
    out.print("[bold]agentgym quickstart[/]: a transformer learns household chores from scratch.")
    _carry_out(run, new=True, as_json=as_json)
    if as_json:
        return
    steps = _next_steps(run)
    width = max(map(len, steps))
    lines = [f"  {command:{width}}  {what}" for command, what in steps.items()]
    out.print("\nWhat to try next:", *lines, sep="\n", markup=False, soft_wrap=True)


def _next_steps(run: Run) -> dict[str, str]:
    """Return commands to go on with, and what each one is for."""
    folder, steps = quote(str(run.path)), dict[str, str]()
    if shutil.which("agentgym") is None and sys.prefix != sys.base_prefix:  # as after `make quickstart`
        steps[f"source {quote(os.path.relpath(sys.prefix))}/bin/activate"] = "put agentgym on the path"
    return steps | {
        f"agentgym view {folder}": "look at its episodes turn by turn",
        "agentgym play household": "do the chores yourself",
        f"agentgym eval household --policy {folder} --against random": "hold it against chance",
        "agentgym train quickstart --set advantage=group_mean": "GRPO instead of GiGPO",
    }


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(help="A TOML file, or a name that `agentgym recipes` lists."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a key, as in optimiser.lr=1e-4; may be repeated."
        ),
    ] = None,
    resume: Annotated[str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run.")] = None,
    runs: RunsFolder = Path("runs"),
    name: RunName = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Refuse an environment that breaks its contract.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Train a policy as a recipe says, or go on with an interrupted run.

    Example: agentgym train quickstart --set iterations=5 --name short
    """
    from agentgym.training.recipe import load_recipe
    from agentgym.training.run import Run

    if resume is not None:
        if recipe is not None or settings or name:
            raise UsageError("--resume goes on with a run as it was begun; give no recipe, --set or --name.")
        _carry_out(Run.open(resume, runs), new=False, as_json=as_json)
        return
    if recipe is None:
        raise UsageError("Give a recipe, such as `agentgym train quickstart`, or --resume RUN.")
    resolved = load_recipe(recipe, settings or [])
    if check:
        _must_keep_contract(resolved.environment.id, resolved.environment.options)
    _carry_out(_new_run(resolved, runs, name), new=True, as_json=as_json)


def _new_run(recipe: Recipe, runs: Path, name: str | None) -> Run:
    from agentgym.training.run import Run

    if name is not None and Path(name).name != name:
        raise UsageError(f"--name is the name of one directory, got {name!r}; say with --runs where it goes.")
    try:
        return Run.create(recipe, runs, name)
    except OSError as error:
        raise UsageError(
            f"Cannot make a run directory in {runs}: {error.strerror}. Choose another place with --runs."
        ) from error


def _carry_out(run: Run, *, new: bool, as_json: bool) -> None:
    """Train, and show what came of it; or say how to go on."""
    started = time.monotonic()
    out = aside(as_json)
    if new:
        out.print(Text.assemble("Everything goes to ", (str(run.path), "bold"), "."), soft_wrap=True)
    try:
        from agentgym.cli.progress import TerminalProgress
        from agentgym.cli.results import run_data, show_run
        from agentgym.training.trainer import Trainer

        with TerminalProgress(out) as progress:
            Trainer(run, progress).train()
    except KeyboardInterrupt:
        _say_how_to_resume(run, "\nInterrupted. Finished iterations are safe; go on with:")
        raise typer.Exit(130) from None
    except (AgentGymError, OSError) as error:
        code = show_error(error)
        if new and isinstance(error, UsageError) and not run.warm_start.exists():
            shutil.rmtree(run.path)  # nothing was trained: the recipe or the machine does not allow it
        else:
            _say_how_to_resume(run, "Finished iterations are safe. Once that is mended, go on with:")
        raise typer.Exit(code) from None
    if as_json:
        print_json(run_data(run))
        return
    show_run(run, out)
    took = time.monotonic() - started
    out.print(f"Took {took:.0f} seconds." if took < 100 else f"Took {took / 60:.1f} minutes.")


def _say_how_to_resume(run: Run, why: str) -> None:
    command = f"agentgym train --resume {quote(str(run.path))}"
    error_console().print(f"{why}\n  {command}", markup=False, soft_wrap=True)


def _must_keep_contract(environment: str, options: dict[str, Any]) -> None:
    from agentgym.conformance.env import check_env

    must_be_makeable(environment, options)
    report = check_env(environment, options=options, only=["contract", "semantic.determinism"])
    if not report.passed:
        failed = "\n".join(f"  {result.id}: {result.message}" for result in report.failures)
        raise UsageError(
            f"{environment} breaks the environment contract; training on it would mislead:\n{failed}\n"
            "Run `agentgym check` for the whole report, or train with --no-check."
        )
