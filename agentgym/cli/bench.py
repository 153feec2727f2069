"""`agentgym bench`: objectives compared under the same conditions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperCommand

from agentgym.cli.console import aside, console, error_console, print_json
from agentgym.cli.options import AsJson

if TYPE_CHECKING:
    from rich.console import Console

    from agentgym.training.bench.compare import Row
    from agentgym.training.bench.plan import Plan

DEFAULT_RECIPES = ("gigpo", "grpo", "hgpo", "seeupo", "tcod_f2b")

app = typer.Typer(help="Compare objectives under the same conditions.", no_args_is_help=True)


class _ManyValues(TyperCommand):
    """A command whose repeatable options take several values at once: `--seeds 0 1 2`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write `--seeds 0 1` out as `--seeds 0 --seeds 1`."""
        repeatable = {
            name for option in self.params if getattr(option, "multiple", False) for name in option.opts
        }
        written: list[str] = []
        option = ""
        for place, word in enumerate(args):
            if word.startswith("-") and not word[1:].isdecimal():
                option = word if word in repeatable else ""
            elif option and args[place - 1] != option:
                written.append(option)
            written.append(word)
        return super().parse_args(ctx, written)


@app.command(cls=_ManyValues)
def objectives(
    base: Annotated[
        str, typer.Option("--base", help="Recipe of the conditions: world, model, optimiser, rollouts.")
    ] = "quickstart",
    recipes: Annotated[
        list[str] | None,
        typer.Option(
            "--recipes",
            metavar="NAME...",
            help=f"Names or TOML files; the first is compared with. Default: {' '.join(DEFAULT_RECIPES)}.",
        ),
    ] = None,
    seeds: Annotated[
        list[int] | None, typer.Option("--seeds", metavar="N...", help="Default: 0 1 2.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE...", help="Change the base and every recipe."),
    ] = None,
    teacher: Annotated[
        str, typer.Option("--teacher", metavar="RUN", help="A trained run, for recipes that have a teacher.")
    ] = "",
    warm_start: Annotated[
        str, typer.Option("--warm-start", metavar="DIR", help="The model all start from; else it is made.")
    ] = "",
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            min=0,
            max=1,
            help="Success whose cost is told; default: halfway from the start to where the first ends.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Where everything goes; what is there is not redone.")
    ] = Path("bench"),
    as_json: AsJson = False,
) -> None:
    """Train recipes from one warm start on the same tasks and seeds, and compare them.

    Example: agentgym bench objectives --recipes gigpo grpo --seeds 0 1
    """
    from agentgym.training.bench.plan import Plan
    from agentgym.training.bench.report import TABLES, cells

    names = tuple(recipes or DEFAULT_RECIPES)
    plan = Plan(out, base, names, tuple(seeds or (0, 1, 2)), tuple(settings or ()), warm_start, teacher)
    rows = _carry_out(plan, threshold, aside(as_json))
    if as_json:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    screen = console()
    for title, columns in TABLES.items():
        table = Table("recipe", title=title, box=None)
        for column in columns:
            table.add_column(column.heading, justify="right")
        for row in rows:
            table.add_row(row.recipe, *cells(row, columns, len(plan.seeds)))
        screen.print(table)
    screen.print(f"Written to {out / 'objectives.md'}, .json and .png.", markup=False, soft_wrap=True)


def _carry_out(plan: Plan, threshold: float | None, out: Console) -> list[Row]:
    from agentgym.cli.progress import TerminalProgress
    from agentgym.training.bench.runner import Bench

    try:
        with TerminalProgress(out) as progress:
            return Bench(plan, progress, threshold).carry_out()
    except KeyboardInterrupt:
        error_console().print("\nInterrupted. Call the same command again: what is done is not done again.")
        raise typer.Exit(130) from None
