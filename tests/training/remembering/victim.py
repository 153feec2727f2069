"""Trains the run in the directory that it is told, and is killed in mid-rollout: `python -m ... RUN STEPS`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import agentgym
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.task import Split
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.luck import Luck, LuckSpec


class Deadly(Luck):
    """Ends the process after so many steps in all."""

    left = 0

    def step(self, action: Any) -> StepResult:
        Deadly.left -= 1
        if Deadly.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


class DeadlySpec(LuckSpec):
    def make(self, split: Split, **options: Any) -> AgentEnv:
        return Deadly(split)


if __name__ == "__main__":
    Deadly.left = int(sys.argv[2])
    agentgym.register(DeadlySpec())
    Trainer(Run(Path(sys.argv[1]))).train()
