"""What reinforcement adds to a small policy that calls tools: the quickstart's way, at the desk of the tool-use world.

    python -m benchmarks.backoffice [--seed 0] [--set KEY=VALUE ...] [--runs DIR]

A transformer from scratch is warmed up on the expert's play and improved by GiGPO, as `backoffice.toml` beside this
file has it. Greedily, it plays the same tasks before and after: all `select` tasks, and all held-out ones of each group
(`seen`, `policy`, `tools`, `domain`). Prints success in percent with 95 % intervals, and the paired difference.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agentgym.evaluation.compare import compare
from agentgym.evaluation.report import Evaluation, Rate
from agentgym.training.recipe import load_recipe
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer

RECIPE = Path(__file__).with_name("backoffice.toml")


def results(run: Run) -> Table:
    """Return what the run's first and last policy can do."""
    table = Table("tasks", "number", "before", "after", "difference, points")
    first, last = (Evaluation.load(run.evaluation(f"select-{n:06d}")) for n in (0, run.recipe.iterations))
    _add(table, "select", first, last, first.rate(), last.rate())
    before, after = (Evaluation.load(run.evaluation(name)) for name in ("before", "after"))
    for group in before.groups:
        table.add_row(
            f"heldout, {group}",
            str(before.rate(group).tasks),
            _percent(before.rate(group)),
            _percent(after.rate(group)),
        )
    _add(table, "heldout, all", before, after, before.rate(), after.rate())
    return table


def _add(table: Table, name: str, before: Evaluation, after: Evaluation, *rates: Rate) -> None:
    found = compare(before, after).difference
    difference = f"{100 * found.estimate:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    table.add_row(name, str(rates[0].tasks), *map(_percent, rates), difference)


def _percent(rate: Rate) -> str:
    return f"{100 * rate.estimate:.1f} ({100 * rate.low:.1f} to {100 * rate.high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--runs", type=Path, default=None, help="keep the run here")
    options = parser.parse_args()
    runs: Path = options.runs or Path(tempfile.mkdtemp(prefix="backoffice-"))
    started = time.monotonic()
    recipe = load_recipe(str(RECIPE), [f"seed={options.seed}", *options.settings])
    run = Run.create(recipe, runs, f"backoffice-{options.seed}")
    Trainer(run).train()
    out = Console(width=120)
    out.print(results(run))
    out.print(f"{(time.monotonic() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
