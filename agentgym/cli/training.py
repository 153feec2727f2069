"""`agentgym train` and `agentgym quickstart`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from agentgym.cli.console import console
from agentgym.cli.options import Seed
from agentgym.core.errors import AgentGymError, UsageError

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
) -> None:
    """Teach a small model the household world on this machine: minutes, no GPU, no key.

    Example:  agentgym quickstart --seed 1
    """
    from agentgym.training.recipe import load_recipe
    from agentgym.training.run import Run

    recipe = load_recipe("quickstart", [f"seed={seed}", *(settings or [])])
    run = Run.create(recipe, runs, name)
    console().print(
        f"[bold]agentgym quickstart[/]: a transformer learns household chores from scratch; "
        f"everything goes to [bold]{run.path}[/]."
    )
    _carry_out(run)
    console().print(
        f"\nWhat to try next:\n"
        f"  open {run.learning_curve}\n"
        f"  agentgym play household                                do the chores yourself\n"
        f"  agentgym eval household --policy {run.path}\n"
        f"  agentgym train quickstart --set advantage=group_mean   GRPO instead of GiGPO\n"
    )


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(help="A TOML file, or the name of a shipped recipe (grpo, gigpo, quickstart)."),
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
) -> None:
    """Train a policy as a recipe says, or go on with an interrupted run.

    Example:  agentgym train quickstart --set iterations=5 --set evaluation.heldout_tasks=20
    """
    from agentgym.training.recipe import load_recipe
    from agentgym.training.run import Run

    if resume is not None:
        if recipe is not None or settings or name:
            raise UsageError("--resume goes on with a run as it was begun; give no recipe, --set or --name.")
        _carry_out(Run.open(resume, runs))
        return
    if recipe is None:
        raise UsageError("Give a recipe, such as `agentgym train quickstart`, or --resume RUN.")
    resolved = load_recipe(recipe, settings or [])
    if check:
        _must_keep_contract(resolved.environment.id, resolved.environment.options)
    run = Run.create(resolved, runs, name)
    console().print(f"Run directory: [bold]{run.path}[/]")
    _carry_out(run)


def _carry_out(run: object) -> None:
    from agentgym.cli.progress import TerminalProgress
    from agentgym.cli.results import show_run
    from agentgym.training.run import Run
    from agentgym.training.trainer import Trainer

    assert isinstance(run, Run)
    started = time.monotonic()
    out = console()
    try:
        with TerminalProgress(out) as progress:
            Trainer(run, progress).train()
    except KeyboardInterrupt:
        out.print(
            f"\nInterrupted. Finished iterations are safe; go on with:\n  agentgym train --resume {run.path}"
        )
        raise typer.Exit(130) from None
    except AgentGymError:
        if run.checkpoints.is_dir():
            out.print(
                f"The run stopped. Once that is mended, go on with:\n  agentgym train --resume {run.path}"
            )
        raise
    show_run(run, out)
    out.print(f"Took {(time.monotonic() - started) / 60:.1f} minutes.")


def _must_keep_contract(environment: str, options: dict[str, object]) -> None:
    from agentgym.conformance.env import check_env

    report = check_env(environment, options=options, only=["contract", "semantic.determinism"])
    if not report.passed:
        failed = "\n".join(f"  {result.id}: {result.message}" for result in report.failures)
        raise UsageError(
            f"{environment} breaks the environment contract; training on it would mislead:\n{failed}\n"
            "Run `agentgym check` for the whole report, or train with --no-check."
        )
