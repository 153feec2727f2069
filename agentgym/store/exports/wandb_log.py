"""A run's curves for Weights & Biases, as a folder that `wandb sync` sends: nothing leaves the machine before.

Imports nothing of ours, so that wandb may have an environment of its own.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

PROJECT = "agentgym"


def write_wandb(
    history: Mapping[int, Mapping[str, float]],
    folder: Path,
    *,
    run: str,
    config: Mapping[str, Any],
    summary: Mapping[str, float],
) -> Path:
    """Write figures by iteration, the configuration and the closing figures; return what `wandb sync` is given.

    What is no number is left out. Raises `ImportError` where wandb is not installed.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when it is imported
    wandb: Any = import_module("wandb")
    folder.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        disable_job_creation=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
    )
    with wandb.init(
        mode="offline", dir=str(folder), project=PROJECT, name=run, config=dict(config), settings=settings
    ) as log:
        for iteration in sorted(history):
            log.log(_finite(history[iteration]), step=iteration)
        log.summary.update(_finite(summary))
        folder = Path(log.dir).parent
    wandb.teardown()  # its service writes on after the run has ended
    return folder


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if math.isfinite(value)}
