"""How fast desktops are: resets and steps per second, and the memory of each.

    python -m benchmarks.desktop [--episodes 24] [--parallel 3]

The expert plays tasks of all templates of train. Memory is the proportional set size of a desktop's processes, an X
server, the session and its applications, with pages that several share counted in parts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentgym.core.task import Split
from agentgym.environments.desktop import SPEC


def descendants(process: int) -> list[int]:
    """Return a process and all below it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [process]
    for each in found:
        found += children.get(each, [])
    return found


def memory_mb() -> float:
    """Return the proportional set size of all processes below this one."""
    total = 0
    for process in descendants(os.getpid())[1:]:
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total / 1024


def play(episodes: int, pictures: bool) -> tuple[list[float], list[float], int]:
    """Let the expert play; return the seconds of resets and steps, and the number of successes."""
    env = SPEC.make(Split.TRAIN, pictures=pictures)
    resets: list[float] = []
    steps: list[float] = []
    solved = 0
    for task in env.suite.tasks(Split.TRAIN)[:episodes]:
        started = time.perf_counter()
        _, info = env.reset(options={"task": task})
        resets.append(time.perf_counter() - started)
        while (action := env.oracle()) is not None:
            started = time.perf_counter()
            info: dict[str, Any] = env.step(action)[-1]
            steps.append(time.perf_counter() - started)
        solved += info["success"]
    env.close()
    return resets, steps, solved


def row(name: str, seconds: Sequence[float]) -> str:
    """Write a row of the table."""
    return f"| {name} | {1 / statistics.mean(seconds):.2f} | {statistics.median(seconds) * 1e3:.0f} ms |"


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=24)
    parser.add_argument("--parallel", type=int, default=3)
    arguments = parser.parse_args()
    print("| | per second | median |\n|---|---|---|")
    for pictures in (False, True):
        resets, steps, solved = play(arguments.episodes, pictures)
        kind = "with pictures" if pictures else "as text"
        print(f"{row(f'resets, {kind}', resets)}\n{row(f'steps, {kind}', steps)}", flush=True)
        print(f"\n{solved} of {arguments.episodes} solved\n", flush=True)
    for template in ("shell_count", "edit_append", "files_rename", "sheet_cell"):
        envs = [SPEC.make(Split.TRAIN, templates=[template]) for _ in range(arguments.parallel)]
        before = memory_mb()
        for env in envs:
            env.reset(seed=0)
        each = (memory_mb() - before) / len(envs)
        print(f"{template}: {each:.0f} MB a desktop, {len(envs)} beside each other", flush=True)
        for env in envs:
            env.close()


if __name__ == "__main__":
    main()
