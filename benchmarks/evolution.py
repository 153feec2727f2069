"""What an evolution without a model comes to: held-out success without its library and with it.

    python -m benchmarks.evolution [--worlds household backoffice] [--seeds 1] [--batches 6] [--tasks 32] [--no-tools]

The scripted agent acts, the scripted evolver writes (`agentgym evolve WORLD -o difficulty=easy`). Printed are, for every
batch, success, what was made and used, and the library's size; then the same held-out tasks and seeds without the library
and with it, paired, with 95 % intervals clustered by task; and the lift of every item in the library by the exposure
lottery, or by the gate's replay where that is the larger sample. Runs are kept in --runs, to be looked at or gone on with.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from functools import partial
from pathlib import Path

from agentgym import registry
from agentgym.agents.follower.agent import FollowerAgent
from agentgym.core.trace import Episode
from agentgym.evaluation.compare import Comparison, Difference
from agentgym.evolution.distilling.scripted import ScriptedEvolver
from agentgym.evolution.figures import BatchFigures
from agentgym.evolution.growing import grow, worth
from agentgym.evolution.report.page import render
from agentgym.evolution.run import EvolutionRun
from agentgym.evolution.settings import EvolveSettings
from agentgym.training.run import installed_versions

TURNS = {"household": 40, "backoffice": 16}
HELDOUT = 50
"""Tasks of each part."""


class Printing:
    """Prints the figures of every batch."""

    def phase(self, batch: int, name: str) -> None:
        """Nothing is said of phases."""

    def episode(self, batch: int, episode: Episode) -> None:
        """Nothing is said of single episodes."""

    def batch(self, figures: BatchFigures) -> None:
        """Print a line of a table in Markdown."""
        rate, low, high = (100 * (figures[name] or 0.0) for name in ("success", "low", "high"))
        egl = "-" if figures["egl"] is None else f"{figures['egl']:.4f}"
        window = "-" if figures["egl_window"] is None else f"{figures['egl_window']:.4f}"
        sizes = "; ".join(
            f"{kind}: {', '.join(f'{count} {status}' for status, count in own.items())}"
            for kind, own in figures["sizes"].items()
        )
        print(
            f"| {figures['batch']} | {rate:.1f} ({low:.1f} to {high:.1f}) | {len(figures['made'])} | {figures['used']} | "
            f"{sizes} | {egl} | {window} | {figures['survival']:.2f} | {figures['next_helps']:.2f} |",
            flush=True,
        )


def main() -> None:
    """Evolve in every world with every seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", nargs="+", choices=sorted(TURNS), default=sorted(TURNS, reverse=True))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--tasks", type=int, default=32)
    parser.add_argument("--no-tools", action="store_true")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    asked = parser.parse_args()
    for world in asked.worlds:
        for seed in range(asked.seeds):
            settings = EvolveSettings(
                env_id=registry.find_spec(world).id,
                options={"difficulty": "easy"},
                batches=asked.batches,
                tasks=asked.tasks,
                max_turns=TURNS[world],
                tools=not asked.no_tools,
                seed=seed,
            )
            _evolve(world, settings, asked.runs)


def _evolve(world: str, settings: EvolveSettings, root: Path) -> None:
    name = f"evolution-{world}-{settings.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    run = EvolutionRun.create(settings, root, name, versions=installed_versions())
    print(
        f"\n{world}, seed {settings.seed}: {settings.tasks} tasks of 4 episodes in a batch, kept in {run.path}\n"
    )
    print("| batch | success, % | made | used | library | EGL | last 3 | survival | P(helps) |")
    print("|---|---|---|---|---|---|---|---|---|")
    started, computed = time.perf_counter(), time.process_time()
    evolver = partial(ScriptedEvolver, tools=settings.tools)
    figures = asyncio.run(grow(run, FollowerAgent, evolver, Printing()))
    took = f"{time.perf_counter() - started:.0f} s, {time.process_time() - computed:.0f} s of CPU in this process"
    comparison = asyncio.run(worth(run, FollowerAgent, HELDOUT))
    with run.library(settings, create=False) as library:
        run.report.write_text(render(settings, figures, library, comparison), "utf-8")
    print(f"\nTook {took}.\n")
    _print_worth(comparison)
    print("\n| item in the library | kind | lift | 90 % | exposures |\n|---|---|---|---|---|")
    for each in figures[-1]["items"]:
        if each["status"] == "active":
            low, high = (each[name] or 0.0 for name in ("low", "high"))
            print(
                f"| {each['name']} | {each['kind']} | {each['lift'] or 0.0:+.3f} | {low:+.3f} to {high:+.3f} | "
                f"{each['exposures']} |"
            )


def _print_worth(comparison: Comparison) -> None:
    print("| held-out tasks | tasks | without, % | with, % | difference | 95 % |\n|---|---|---|---|---|---|")
    before, after = comparison.before_rate.estimate, comparison.after_rate.estimate
    rates = f"{100 * before:.1f} | {100 * after:.1f}"
    _print_difference("all", comparison.difference, rates)
    for part, found in {**comparison.groups, **comparison.task_types}.items():
        _print_difference(part, found, "|")


def _print_difference(name: str, found: Difference, rates: str) -> None:
    print(
        f"| {name} | {found.tasks} | {rates} | {100 * found.estimate:+.1f} | "
        f"{100 * found.low:+.1f} to {100 * found.high:+.1f} |"
    )


if __name__ == "__main__":
    main()
