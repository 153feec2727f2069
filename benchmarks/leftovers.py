"""What hundreds of episodes leave behind: processes, zombies, open files, memory.

    python -m benchmarks.leftovers webshop -o mode=browser --episodes 500
    python -m benchmarks.leftovers desktop --episodes 500 --steps 3

Each episode is a reset and a few actions that a random player draws from those that are admissible, or the expert's where
none are told. Every tenth environment is closed and made anew. Printed are what this process holds with all below it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from agentgym.core.env import AgentEnv
from agentgym.core.errors import InfrastructureError
from agentgym.core.task import Split
from agentgym.registry import find_spec

EACH = 50
"""Episodes between two lines."""
ANEW = 10
"""Episodes that an environment plays before it is closed."""


class Held(NamedTuple):
    """What is there at one moment."""

    processes: int
    """Below this one, those that have ended and were not waited for included."""
    zombies: int
    files: int
    """Open in this process."""
    mib: float
    """Proportional set size of this process and all below it."""


def held() -> Held:
    """Count."""
    gc.collect()
    states: dict[int, str] = {}
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        states[int(stat.parent.name)] = state
        children.setdefault(int(parent), []).append(int(stat.parent.name))
    found = [os.getpid()]
    for each in found:
        found += children.get(each, [])
    zombies = sum(states.get(process) == "Z" for process in found)
    files = len(list(Path("/proc/self/fd").iterdir()))
    return Held(len(found) - 1, zombies, files, sum(map(_mib, found)))


def _mib(process: int) -> float:
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024


def play(env: AgentEnv, number: int, steps: int) -> int:
    """Play an episode and return how many steps it had."""
    rng = random.Random(number)
    _, info = env.reset(seed=number)
    for step in range(steps):
        admissible = info.get("admissible_actions")
        action = rng.choice(admissible) if admissible else env.oracle()
        if action is None:
            return step
        _, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            return step + 1
    return steps


def episodes(name: str, options: dict[str, Any], steps: int) -> Iterator[int]:
    """Play without end; yields the steps of each episode."""
    number = 0
    while True:
        env = find_spec(name).make(Split.TRAIN, **options)
        try:
            for _ in range(ANEW):
                number += 1
                try:
                    yield play(env, number, steps)
                except InfrastructureError as error:
                    print(f"episode {number}: {error}", flush=True)
                    yield 0
        finally:
            env.close()


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("env")
    parser.add_argument("-o", "--option", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--steps", type=int, default=4)
    asked = parser.parse_args()
    options = {name: _value(text) for name, _, text in (word.partition("=") for word in asked.option)}
    print(
        f"{'episodes':>8} {'steps':>7} {'processes':>10} {'zombies':>8} {'files':>6} {'MiB':>8}", flush=True
    )
    total = 0
    for number, steps in enumerate(islice(episodes(asked.env, options, asked.steps), asked.episodes), 1):
        total += steps
        if number % EACH == 0 or number in (ANEW, asked.episodes):
            now = held()
            print(
                f"{number:8} {total:7} {now.processes:10} {now.zombies:8} {now.files:6} {now.mib:8.0f}",
                flush=True,
            )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
