"""Is it fast enough, and does it leave nothing behind?"""

from __future__ import annotations

import gc
import os
import statistics
import threading
from pathlib import Path
from time import perf_counter, sleep

from agentgym.conformance.subject import Subject, act, begin, random_action, require

_RESETS = 20
_ROUNDS = 5
"""Environments made, played and closed when looking for leaks."""
_PATIENCE_S = 2.0
"""Threads and processes may take this long to end after `close`."""


def check_latency(subject: Subject) -> str:
    """A reset and a step take no longer than is tolerated, in the median."""
    resets: list[float] = []
    steps: list[float] = []
    with subject.env() as env:
        tasks = env.suite.tasks(env.split)
        for number in range(_RESETS):
            rng = subject.rng("latency", number)
            task = tasks[rng.randrange(len(tasks))]
            started = perf_counter()
            _, info = env.reset(seed=number, options={"task": task})
            resets.append(perf_counter() - started)
            for _ in range(subject.limits.steps):
                action = random_action(env, info, rng)
                started = perf_counter()
                _, _, terminated, truncated, info = env.step(action)
                steps.append(perf_counter() - started)
                if terminated or truncated:
                    break
    reset_s, step_s = statistics.median(resets), statistics.median(steps)
    require(
        reset_s <= subject.limits.reset_s,
        f"A reset takes {reset_s:.3g} s in the median, more than {subject.limits.reset_s:g} s.",
    )
    require(
        step_s <= subject.limits.step_s,
        f"A step takes {step_s:.3g} s in the median, more than {subject.limits.step_s:g} s.",
    )
    return f"median reset {reset_s * 1e3:.3g} ms, step {step_s * 1e6:.3g} us"


def check_leaks(subject: Subject) -> str:
    """Closed environments leave no threads, open files or child processes."""
    _play_and_close(subject)  # what the first use loads for good is no leak
    before = _held()
    for _ in range(_ROUNDS):
        _play_and_close(subject)
    deadline = perf_counter() + _PATIENCE_S
    while (leaked := _more(before, _held())) and perf_counter() < deadline:
        gc.collect()
        sleep(0.05)
    require(
        not leaked,
        f"{_ROUNDS} environments were made and closed, and left {', '.join(leaked)}; release them in close().",
    )
    return f"{_ROUNDS} environments left none of: {', '.join(before)}"


def _play_and_close(subject: Subject) -> None:
    with subject.env() as env:
        rng = subject.rng("leaks")
        moment = begin(env, env.suite.tasks(env.split)[0])
        for _ in range(5):
            if moment.over:
                break
            moment = act(env, random_action(env, moment.info, rng))


def _held() -> dict[str, int]:
    """Count what this process holds, as far as the system tells."""
    held = {"threads": threading.active_count()}
    for descriptors in (Path("/proc/self/fd"), Path("/dev/fd")):
        if descriptors.is_dir():
            held["open files"] = len(list(descriptors.iterdir()))
            break
    if Path("/proc/self/stat").is_file():
        held["child processes"] = _children()
    return held


def _children() -> int:
    """Count the processes whose parent this one is, ended ones not waited for included."""
    me = os.getpid()
    count = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything; the parent is the second field after it.
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except (OSError, IndexError):  # the process ended meanwhile
            continue
        count += int(parent) == me
    return count


def _more(before: dict[str, int], after: dict[str, int]) -> list[str]:
    return [f"{after[name] - count} {name}" for name, count in before.items() if after[name] > count]
