"""When nothing goes on any more: who holds everything up, told in one line, with all stacks in a file."""

from __future__ import annotations

import asyncio
import faulthandler
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, Self

from agentgym.rollout.monitor import Monitor, Place

_PONGS, _PONG_S = 5, 0.1
"""An event loop that does not answer in so many waits of so many seconds, after all that went before, is blocked."""


class Watchdog:
    """Watches a monitor from a thread of its own, since the event loop may be what hangs. A context manager.

    It ends nothing: time-outs do. After `stall_s` seconds without a move it speaks once, until something moves. It
    counts its own short waits and not the clock: where the whole process or machine stood still, nobody hangs.
    """

    def __init__(self, monitor: Monitor, stall_s: float) -> None:
        self._monitor = monitor
        self._stall_s = stall_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rollout-watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        wait_s = min(self._stall_s / 4, 1.0)
        moved = still = told = 0.0
        while not self._ended.wait(wait_s):
            still = still + wait_s if moved == self._monitor.moved else 0.0
            moved = self._monitor.moved
            if still >= self._stall_s and moved != told and self._monitor.places:
                told = moved
                self._speak(perf_counter() - moved)

    def _speak(self, still: float) -> None:
        culprit = self._culprit()
        if culprit is None:
            return
        line = f"Nothing has gone on for {still:.0f} s: {culprit}"
        if self._monitor.dump_folder is not None:
            line += f" All stacks are in {self._dump(self._monitor.dump_folder, line)}."
        self._monitor.tell(line)

    def _culprit(self) -> str | None:
        """Say who is waited for, or None where somebody went on meanwhile."""
        answered = threading.Event()
        self._loop.call_soon_threadsafe(answered.set)
        if not any(answered.wait(_PONG_S) for _ in range(_PONGS)):
            return self._blocking()
        waiting = [place for place in list(self._monitor.places.values()) if place.boundary]
        if not waiting:
            return None
        oldest = min(waiting, key=lambda place: place.since)
        others = Counter(place.boundary for place in waiting if place is not oldest)
        besides = ", ".join(f"{count} for the {boundary}" for boundary, count in others.most_common())
        return f"{_described(oldest)}.{f' Besides, others wait: {besides}.' if besides else ''}"

    def _blocking(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)  # pyright: ignore[reportPrivateUsage]
        where = f" in {_place_of(frame)}" if frame is not None else ""
        latest = self._monitor.latest
        if latest is not None and latest.blocking and latest.boundary:
            advice = (
                " Step this environment in a thread or a process (rollout.stepping), which can be ended."
                if latest.boundary == "environment"
                else ""
            )
            return f"{_described(latest)}, which blocks the event loop{where}.{advice}"
        return f"the event loop is blocked{where}, outside any environment: the policy or the agent computes."

    def _dump(self, folder: Path, line: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("stall-*.txt"))) + 1
        path = folder / f"stall-{number:03d}.txt"
        with path.open("w", encoding="utf-8") as file:
            file.write(f"{line}\n{self._monitor.figures.line}\n\nThreads\n")
            file.flush()  # what follows goes past its buffer
            faulthandler.dump_traceback(file)
            file.write("\nTasks of the event loop, outermost frame first\n")
            for task in asyncio.all_tasks(self._loop):
                file.write(f"{task.get_name()}\n")
                file.writelines(f"  {frame}\n" for frame in _awaited(task.get_coro()))
        return path


def _described(place: Place) -> str:
    took = perf_counter() - place.since
    return (
        f"the {place.boundary} has been in `{place.call}` of episode {place.episode_id}, turn {place.turns + 1}, "
        f"for {took:.0f} s"
    )


def _place_of(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"


def _awaited(coroutine: Any) -> Iterator[str]:
    """Yield where a coroutine is, and the one it awaits, down to the innermost."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            yield _place_of(frame)
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
