"""Watching a run's rollouts: progress while they go on, stacks where they stand still, and what failed on the way."""

from __future__ import annotations

import json
from collections import Counter

from agentgym.rollout.monitor import Monitor
from agentgym.training.progress import Progress
from agentgym.training.run import Run


class Watch:
    """Makes the monitors of a run's rollouts and reports what they saw."""

    def __init__(self, run: Run, progress: Progress) -> None:
        self._run = run
        self._progress = progress

    def monitor(self) -> Monitor:
        """Return a monitor that shows how it stands, and leaves the stacks of a stall in the run's directory."""
        return Monitor(
            on_figures=self._progress.playing, say=self._progress.say, dump_folder=self._run.stalls
        )

    def report(self, monitor: Monitor, during: str) -> None:
        """Keep the attempts that failed and were played again in `failures.jsonl`, and say that there were some."""
        failures = monitor.failures
        if not failures:
            return
        with (self._run.path / "failures.jsonl").open("a", encoding="utf-8") as file:
            for failure in failures:
                file.write(json.dumps({"during": during, **failure.as_json()}) + "\n")
        kinds = Counter(failure.outcome.value for failure in failures)
        listing = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        last_line = failures[0].error.splitlines()[-1:] or ["no error was told"]
        self._progress.say(
            f"{during}: {len(failures)} episodes failed and were played again ({listing}). The first, "
            f"{failures[0].episode_id}: {last_line[0]:.200} All are in {self._run.path / 'failures.jsonl'}."
        )
