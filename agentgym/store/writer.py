"""`EpisodeWriter`: keeps episodes while a rollout goes on, in a thread of its own."""

from __future__ import annotations

import atexit
import queue
import threading
from types import TracebackType
from typing import Self

from agentgym.core.errors import StoreFault, UsageError
from agentgym.core.trace import Episode
from agentgym.store.records import EpisodeRecord, episode_record
from agentgym.store.store import Store

_GROUP = 32
"""Most episodes committed together. Only what waits already is grouped: a lone episode never waits."""


class EpisodeWriter:
    """Writes episodes of one run to the store in the background.

    `write` encodes the episode and returns; a thread commits what waits, whole episodes only, so that a
    kill never leaves half an episode. The queue is bounded: where the disk is slower than the rollouts
    for long, `write` waits instead of filling the memory. A context manager; leaving it flushes.
    """

    def __init__(self, store: Store, run_id: str, *, queue_size: int = 256) -> None:
        """Begin writing to `run_id`, which must be in the store; at most `queue_size` episodes wait.

        Raises `UnknownNameError` for an unknown run.
        """
        self._store = store
        self._run_id = store.run(run_id).id
        self._queue: queue.Queue[EpisodeRecord | None] = queue.Queue(queue_size)
        self._fault: StoreFault | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"episode-writer-{run_id}", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, episode: Episode, *, iteration: int, phase: str = "train") -> None:
        """Hand over an episode.

        Raises `UsageError` for one that cannot be stored, and `StoreFault` when an earlier one could
        not be written.
        """
        if self._closed:
            raise UsageError(f"The writer of run {self._run_id!r} is closed; make another EpisodeWriter.")
        self._raise_fault()
        self._queue.put(episode_record(self._run_id, iteration, phase, episode))

    def flush(self) -> None:
        """Wait until everything handed over is committed; raises `StoreFault` when it could not be."""
        self._queue.join()
        self._raise_fault()

    def close(self) -> None:
        """Flush and end the thread; does nothing the second time."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        self._queue.put(None)
        self._thread.join()
        self._raise_fault()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except StoreFault as fault:
            if error is None:
                raise
            error.add_note(f"Besides: {fault}")  # what ended the block matters more

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _work(self) -> None:
        ended = False
        while not ended:
            waiting = self._take()
            records = [record for record in waiting if record is not None]
            ended = len(records) < len(waiting)
            try:
                if self._fault is None and records:
                    self._store.commit(records)
            except StoreFault as fault:
                self._fault = fault
            except Exception as error:  # noqa: BLE001 - a thread has no caller: `flush` raises it there
                self._fault = StoreFault(f"Writing episodes to {self._store.path} failed: {error!r}.")
                self._fault.__cause__ = error
            finally:
                for _ in waiting:
                    self._queue.task_done()

    def _take(self) -> list[EpisodeRecord | None]:
        """Wait for an entry, and take what else is there."""
        waiting = [self._queue.get()]
        try:
            while waiting[-1] is not None and len(waiting) < _GROUP:
                waiting.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return waiting
