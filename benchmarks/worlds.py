"""What reinforcement adds to a small policy in other worlds than the household: the quickstart's recipe, elsewhere.

    python -m benchmarks.worlds {phone,webshop} [--seeds 0] [--set KEY=VALUE ...] [--runs DIR]

For each seed a transformer from scratch is warmed up on a hasty expert's play and improved by GiGPO, as in
`agentgym quickstart`; it plays the same `select` tasks before and after, greedily. Prints both success rates and the
paired difference with its 95 % interval.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agentgym.evaluation.compare import compare
from agentgym.evaluation.report import Evaluation, Rate
from agentgym.training.progress import Silent
from agentgym.training.recipe import apply_overrides, parse_recipe, read_table
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer


@dataclass(frozen=True)
class World:
    """An environment, as a recipe names it, and what differs from the quickstart there."""

    environment: Mapping[str, Any]
    settings: tuple[str, ...] = ()


IMITATION = ("warm_start.noise=0", "warm_start.only_solved=false", "warm_start.tokens_per_step=2048")
"""The hasty expert is imitated in all it does."""
REINFORCEMENT = ("schedule.minibatches=4", "optimiser.lr=3e-4")

WORLDS = {
    "webshop": World(
        {
            "id": "agentgym/Webshop-v0",
            "max_turns": 8,
            "options": {"difficulty": "easy", "results": 4, "expert": "hasty"},
        },
        (
            "iterations=24",
            "model.scratch.vocab_size=500",  # codes of products are copied sooner letter by letter
            "warm_start.demonstrations=1600",
            "warm_start.epochs=8",
            "warm_start.lr=4e-3",
            "rollout.max_tokens=32",
            "evaluation.select_tasks=100",
        ),
    ),
    "phone": World(
        {
            "id": "agentgym/Phone-v0",
            "max_turns": 12,
            "options": {"apps": ["Settings"], "difficulty": "easy", "expert": "hasty"},
        },
        (
            "iterations=16",
            "warm_start.demonstrations=1480",
            "warm_start.epochs=4",
            "evaluation.select_tasks=120",
        ),
    ),
}


def train(world: World, seed: int, runs: Path, name: str, settings: list[str]) -> Run:
    """Carry out a training and return its run, with the evaluations of its first and last policy."""
    table = {**read_table("quickstart"), "environment": dict(world.environment), "seed": seed}
    changed = [*IMITATION, *REINFORCEMENT, *world.settings, *settings]
    iterations = int(apply_overrides(table, changed)["iterations"])
    evaluation = ("heldout_tasks=0", f"every={iterations}")
    table = apply_overrides(table, [*(f"evaluation.{setting}" for setting in evaluation), *changed])
    run = Run.create(parse_recipe(table, name), runs, name)
    Trainer(run, Silent()).train()
    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("world", choices=sorted(WORLDS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--runs", type=Path, default=None, help="keep the runs here")
    options = parser.parse_args()
    runs: Path = options.runs or Path(tempfile.mkdtemp(prefix=f"{options.world}-"))
    table = Table("seed", "select before", "select after", "difference, points", "p", "minutes")
    for seed in options.seeds:
        started = time.monotonic()
        run = train(WORLDS[options.world], seed, runs, f"{options.world}-{seed}", options.settings)
        last = run.recipe.iterations
        before, after = (Evaluation.load(run.evaluation(f"select-{n:06d}")) for n in (0, last))
        found = compare(before, after).difference
        table.add_row(
            str(seed),
            _percent(before.rate()),
            _percent(after.rate()),
            f"{100 * found.estimate:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})",
            f"{found.p_value:.4f}",
            f"{(time.monotonic() - started) / 60:.1f}",
        )
    Console(width=120).print(table)


def _percent(rate: Rate) -> str:
    return f"{100 * rate.estimate:.1f} ({100 * rate.low:.1f} to {100 * rate.high:.1f})"


if __name__ == "__main__":
    main()
