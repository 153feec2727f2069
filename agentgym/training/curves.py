"""A run's figures for TensorBoard: `tensorboard --logdir runs` shows every run that is there.

Each process writes a file of its own into the run's `tensorboard` folder. One that resumes says from where, so that
what an interrupted iteration left behind is not shown.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Curves:
    """Writes figures by iteration. A context manager."""

    def __init__(self, folder: Path, first: int) -> None:
        """Write to `folder`, beginning with iteration `first`."""
        # Half a second, and generated modules without types.
        events: Any = import_module("tensorboard.compat.proto.event_pb2")
        summaries: Any = import_module("tensorboard.compat.proto.summary_pb2")
        writers: Any = import_module("tensorboard.summary.writer.event_file_writer")
        self._event, self._summary = events.Event, summaries.Summary
        self._writer = writers.EventFileWriter(str(folder))
        self._write(first, session_log=events.SessionLog(status=events.SessionLog.START))

    def log(self, iteration: int, **groups: Mapping[str, float]) -> None:
        """Write an iteration's figures, each as `group/name`; what is no number is left out."""
        values = [
            self._summary.Value(tag=f"{group}/{name}", simple_value=value)
            for group, figures in groups.items()
            for name, value in figures.items()
            if math.isfinite(value)
        ]
        self._write(iteration, summary=self._summary(value=values))
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def _write(self, iteration: int, **content: Any) -> None:
        self._writer.add_event(self._event(wall_time=time.time(), step=iteration, **content))
