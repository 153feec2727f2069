"""A run's curves in Weights & Biases while it trains, with the names and steps that `agentgym export` gives them.

W&B has one run for it, however often it is killed and resumed. Whoever resumes it sends what the store has from the
beginning: W&B drops what it has already, and gets what was lost in the kill. Without a key all of it is kept anew for
`wandb sync`, which cannot add to a run that W&B has: that becomes another run there, and is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Self

from agentgym.core.errors import ConfigError
from agentgym.evaluation.history import run_history, run_summary
from agentgym.store.exports.wandb_log import WandbLog, chosen_mode, is_installed
from agentgym.store.store import Store
from agentgym.training.progress import Progress
from agentgym.training.recipe import Recipe
from agentgym.training.run import Run

_ID = "id"
_FAILED, _INTERRUPTED = 1, 255


def must_have_tracker(recipe: Recipe) -> None:
    """Raise `ConfigError` where the recipe wants curves in W&B, and it is not installed."""
    if recipe.tracking.wandb and not is_installed():
        raise ConfigError(
            "tracking.wandb is true, but wandb is not installed: pip install 'agentgym-harness[wandb]', or set it to "
            "false."
        )


class Tracking:
    """Sends what a run logs to W&B, if its recipe wants it. A context manager.

    No fault of W&B is raised: it is told once, and training goes on without.
    """

    def __init__(self, run: Run, store: Store, progress: Progress) -> None:
        self._run = run
        self._store = store
        self._progress = progress
        self._log: WandbLog | None = None

    def log(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Send an iteration's metrics."""
        if self._log is not None:
            with self._tolerated():
                self._log.log(iteration, metrics)

    def __enter__(self) -> Self:
        if self._run.recipe.tracking.wandb:
            with self._tolerated():
                self._log = self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._log is not None:
            with self._tolerated():
                self._log.conclude(run_summary(self._store, self._run.name))
                self._log.close(0 if kind is None else _INTERRUPTED if kind is KeyboardInterrupt else _FAILED)

    def _begin(self) -> WandbLog:
        mode = chosen_mode()
        if mode == "offline":
            _clear_for_sync(self._run.wandb)
        config = json.loads(self._store.run(self._run.name).config_json)
        log = WandbLog(self._run.path, run=self._run.name, config=config, mode=mode, id=_kept_id(self._run))
        for iteration, metrics in sorted(run_history(self._store, self._run.name).items()):
            log.log(iteration, metrics)
        if mode == "offline":
            self._progress.say(
                f"Curves for Weights & Biases go to {self._run.wandb}: `wandb sync` sends them."
            )
        return log

    @contextmanager
    def _tolerated(self) -> Generator[None]:
        """Do without W&B from the first fault on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  (of whatever kind, no fault of W&B ends a training)
            self._log = None
            reason = " ".join(str(error).split()) or type(error).__name__
            self._progress.say(
                f"Weights & Biases failed ({reason:.200}). Training goes on without it; "
                f"`agentgym export {self._run.path} --format wandb` has its curves."
            )


def _kept_id(run: Run) -> str:
    """Return the id of a run in W&B, made when it is first asked for."""
    path = run.wandb / _ID
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        path.write_text(token_hex(4), "utf-8")
    return path.read_text("utf-8")


def _clear_for_sync(folder: Path) -> None:
    """Delete what earlier processes have kept for `wandb sync` and nobody has sent; if W&B has something, the id, too.

    What a killed process left may end in the middle, which keeps `wandb sync` from sending anything of that run. To a
    run that W&B has, it adds with steps that count on from there.
    """
    kept = set(folder.glob("offline-run-*"))
    sent = {path for path in kept if any(path.glob("*.synced"))}
    for path in kept - sent:
        shutil.rmtree(path)
    if sent or any(folder.glob("run-*")):
        (folder / _ID).unlink(missing_ok=True)
