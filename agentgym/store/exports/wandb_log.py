"""A run's curves for Weights & Biases: a log to add to, and the export of a whole run as a folder for `wandb sync`.

Imports nothing of ours, so that wandb may have an environment of its own.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROJECT = "agentgym"
"""Where runs go unless the variable WANDB_PROJECT says otherwise."""
START_S = 30.0
"""Most seconds that W&B may take to begin."""
END_S = 60.0
"""Most seconds for what is still to be sent when a run ends; `wandb sync` sends the rest."""


class WandbLog:
    """A run of W&B, to which figures are added. Whatever wandb raises goes to the caller."""

    def __init__(
        self, folder: Path, *, run: str, config: Mapping[str, Any], mode: str, id: str | None = None
    ) -> None:
        """Begin a run called `run` below `folder`, or go on with the one called `id`, if there is one.

        Raises `ImportError` where wandb is not installed.
        """
        wandb = _wandb()
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            mode=mode,
            dir=str(folder),
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=run,
            id=id,
            resume=None if id is None else "allow",
            reinit="create_new",
            config=dict(config),
            settings=_settings(wandb),
        )

    @property
    def folder(self) -> Path:
        """What `wandb sync` is given."""
        return Path(self._run.dir).parent

    def log(self, iteration: int, figures: Mapping[str, float]) -> None:
        """Add an iteration's figures. What is no number is left out; W&B drops iterations that it has already."""
        self._run.log(_finite(figures), step=iteration, commit=True)

    def conclude(self, summary: Mapping[str, float]) -> None:
        """Set the closing figures."""
        self._run.summary.update(_finite(summary))

    def close(self, exit_code: int = 0) -> None:
        """End the run; any code but 0 marks it as failed."""
        self._run.finish(exit_code=exit_code)


def is_installed() -> bool:
    """Whether there is wandb; the folder of that name which it leaves wherever it runs is none."""
    found = find_spec("wandb")
    return found is not None and found.origin is not None


def chosen_mode() -> str:
    """Return what the variable WANDB_MODE says, `online` by default; `offline` where that needs a key and there is none."""
    asked = os.environ.get("WANDB_MODE") or "online"
    return asked if asked != "online" or _wandb().api.api_key else "offline"


def write_wandb(
    history: Mapping[int, Mapping[str, float]],
    folder: Path,
    *,
    run: str,
    config: Mapping[str, Any],
    summary: Mapping[str, float],
) -> Path:
    """Write figures by iteration, the configuration and the closing figures; return what `wandb sync` is given.

    Nothing leaves the machine. Raises `ImportError` where wandb is not installed.
    """
    log = WandbLog(folder, run=run, config=config, mode="offline")
    for iteration in sorted(history):
        log.log(iteration, history[iteration])
    log.conclude(summary)
    log.close()
    _wandb().teardown()  # its service writes on after the run has ended
    return log.folder


def _wandb() -> Any:
    if not is_installed():
        raise ImportError("There is no package wandb.")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when it is imported
    wandb: Any = import_module("wandb")
    wandb.setup(_settings(wandb))  # or it says where it has a key from
    return wandb


def _settings(wandb: Any) -> Any:
    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        disable_job_creation=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        init_timeout=START_S,
        finish_timeout=END_S,
    )


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if math.isfinite(value)}
