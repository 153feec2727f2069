"""How fast the phone is: steps per second of CPU time, with and without pictures, and what resets and snapshots take.

    python -m benchmarks.phone_steps [--episodes 60]

The expert's actions are recorded first and played again, so that its thinking is not counted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from agentgym.core.task import Split
from agentgym.environments.phone import SPEC


def record(episodes: int) -> list[tuple[str, list[str]]]:
    """Let the expert play tasks of every kind, and return its actions."""
    env = SPEC.make(Split.TRAIN, admissible=False)
    played: list[tuple[str, list[str]]] = []
    for task in env.suite.tasks(Split.TRAIN)[:episodes]:
        env.reset(options={"task": task})
        actions: list[str] = []
        while (action := env.oracle()) is not None:
            actions.append(action)
            env.step(action)
        played.append((task.id, actions))
    return played


def seconds(work: Callable[[], Any]) -> float:
    """Return the CPU seconds of a call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(played: list[tuple[str, list[str]]], **options: Any) -> dict[str, float]:
    env = SPEC.make(Split.TRAIN, **options)
    spent = dict.fromkeys(("reset", "step", "snapshot", "restore", "state_key"), 0.0)
    steps = 0
    for task, actions in played:
        spent["reset"] += seconds(lambda task=task: env.reset(options={"task": task}))
        for action in actions:
            spent["step"] += seconds(lambda action=action: env.step(action))
            steps += 1
        saved = env.snapshot()
        spent["snapshot"] += seconds(env.snapshot)
        spent["restore"] += seconds(lambda saved=saved: env.restore(saved))
        spent["state_key"] += seconds(env.state_key)
    per_episode = {name: 1e3 * spent[name] / len(played) for name in spent if name != "step"}
    return {**per_episode, "steps/s": steps / spent["step"]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=60)
    played = record(parser.parse_args().episodes)
    table = Table("", "steps/s", "reset, ms", "snapshot, ms", "restore, ms", "state_key, ms")
    for label, options in {
        "text": {"admissible": False},
        "text, actions listed": {"admissible": True},
        "pictures": {"admissible": False, "pictures": True},
    }.items():
        found = measure(played, **options)
        times = (f"{found[name]:.2f}" for name in ("reset", "snapshot", "restore", "state_key"))
        table.add_row(label, f"{found['steps/s']:,.0f}", *times)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
