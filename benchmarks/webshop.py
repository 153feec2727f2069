"""The shop's two ways in: steps per second of each, and what a browser's contexts weigh.

    python -m benchmarks.webshop [--episodes 20] [--contexts 24]

The expert plays the same tasks in both. Memory is the proportional set size of the browser with all its processes, while
more and more environments each hold a page open; contexts per GB come from the slope.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from contextlib import ExitStack, closing

from agentgym.core.env import AgentEnv
from agentgym.core.task import Split
from agentgym.environments.webshop import SPEC, Mode
from benchmarks.desktop import memory_mb

EACH = 4
"""Contexts between two measurements."""


def play(mode: Mode, episodes: int) -> tuple[list[float], list[float], int]:
    """Let the expert play; return the seconds of resets and of steps, and the number of successes."""
    resets: list[float] = []
    steps: list[float] = []
    solved = 0
    with closing(SPEC.make(Split.TRAIN, mode=mode)) as env:
        for number in range(episodes + 1):
            started = time.perf_counter()
            _, info = env.reset(seed=number)
            resets.append(time.perf_counter() - started)
            while (action := env.oracle()) is not None:
                started = time.perf_counter()
                info = env.step(action)[4]
                steps.append(time.perf_counter() - started)
            solved += number > 0 and info["success"]
            if number == 0:  # what is made once
                resets, steps = [], []
    return resets, steps, solved


def contexts(most: int) -> list[tuple[int, float]]:
    """Return how many contexts there were, and the browser's memory in MiB."""
    found: list[tuple[int, float]] = []
    with ExitStack() as held:
        for number in range(1, most + 1):
            env: AgentEnv = held.enter_context(closing(SPEC.make(Split.TRAIN, mode="browser")))
            env.reset(seed=number)
            action = env.oracle()
            assert action is not None
            env.step(action)
            if number == 1 or number % EACH == 0:
                time.sleep(1.0)  # a page that was just loaded gives some of its memory back
                found.append((number, memory_mb()))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--contexts", type=int, default=24)
    asked = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}")
    for mode in ("text", "browser"):
        resets, steps, solved = play(mode, asked.episodes)
        print(
            f"{mode:8} {solved} of {asked.episodes} solved; {1 / statistics.mean(resets):8.1f} resets and "
            f"{1 / statistics.mean(steps):8.1f} steps per second; median {1e3 * statistics.median(resets):.1f} ms, "
            f"{1e3 * statistics.median(steps):.2f} ms"
        )
    weighed = contexts(asked.contexts)
    for number, mib in weighed:
        print(f"{number:4} contexts {mib:8.0f} MiB")
    slope = (weighed[-1][1] - weighed[0][1]) / (weighed[-1][0] - weighed[0][0])
    print(f"{slope:.1f} MiB a context: {1024 / slope:.0f} contexts per GiB")


if __name__ == "__main__":
    main()
