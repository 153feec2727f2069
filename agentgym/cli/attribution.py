"""`agentgym attribute`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentgym.cli.bars import bars
from agentgym.cli.console import console, error_console
from agentgym.cli.options import AsJson, RunsRoot, Seed
from agentgym.core.errors import UsageError

if TYPE_CHECKING:
    from agentgym.evaluation.runner import OnProgress
    from agentgym.evolution.attribution import Attribution, Combination
    from agentgym.evolution.attribution_run import AttributionRun


def attribute(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(help="A training run, by its directory or name.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Held-out tasks of each part.")] = 100,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Episodes of each task.")] = 1,
    seed: Seed = 0,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="0 is greedy.")] = 0.0,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Most episodes at a time.")] = 64,
    runs: RunsRoot = Path("runs"),
    name: Annotated[str | None, typer.Option("--name", help="Name of the new directory.")] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="NAME", help="Go on with an attribution.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a run's held-out success is owed to: its weights, memory, skills or tools.

    All that the run has is switched on and off, in every combination, on the same tasks and seeds: a main effect for
    each, and what they bring together beyond that, with 95 % intervals; as a table and as a picture.

    Example: agentgym attribute reference --limit 4
    """
    from agentgym.evolution.attribution_run import AttributionRun
    from agentgym.evolution.attribution_shown import attribution_table, plot_attribution
    from agentgym.training.run import Run

    if resume is not None:
        if run or name:
            raise UsageError("--resume goes on with an attribution as it was begun; give no run and no name.")
        there = Path(resume) if Path(resume).is_dir() else runs / resume
        begun = AttributionRun(there)
    else:
        if run is None:
            context.fail("Missing argument 'RUN'.")
        trained = Run.open(run, runs)
        begun = AttributionRun.create(
            trained, runs, name, tasks=limit, samples=epochs, seed=seed, temperature=temperature
        )
    found = _play(begun, concurrency)
    picture = begun.path / "attribution.png"
    plot_attribution(found, picture)
    if as_json:
        typer.echo(json.dumps({"attribution": str(begun.path), "picture": str(picture), **found.to_data()}))
        return
    console().print(attribution_table(found))
    console().print(f"Kept in {begun.path}, with a picture.", markup=False, soft_wrap=True)


def _play(begun: AttributionRun, concurrency: int) -> Attribution:
    from agentgym.evolution.attribution import named

    with bars(error_console()) as shown:

        def told(on: Combination) -> OnProgress:
            bar = shown.add_task(named(on), total=None, note="")
            return lambda _, done, total: shown.update(bar, completed=done, total=total)

        try:
            return begun.play(told, concurrency)
        except KeyboardInterrupt:
            error_console().print(
                f"Finished episodes are safe. Go on with:\n  agentgym attribute --resume {begun.path}",
                markup=False,
                soft_wrap=True,
            )
            raise
