"""Trains the run in the directory that it is told, and is killed in mid-rollout: `python -m ... RUN WORLD STEPS`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import agentgym
from agentgym.core.env import AgentEnv
from agentgym.core.task import Split
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.luck import Luck, LuckSpec
from tests.training.remembering.locks import Locks, LockSpec

left = 0
"""Steps before the end."""


class Deadly(AgentEnv):
    """Ends the process after so many steps in all."""

    def step(self, action: Any) -> Any:
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


class DeadlyLuck(Deadly, Luck):
    pass


class DeadlyLocks(Deadly, Locks):
    pass


class DeadlyLuckSpec(LuckSpec):
    def make(self, split: Split, **options: Any) -> AgentEnv:
        return DeadlyLuck(split)


class DeadlyLockSpec(LockSpec):
    def make(self, split: Split, **options: Any) -> AgentEnv:
        return DeadlyLocks(split)


if __name__ == "__main__":
    folder, world, steps = sys.argv[1:]
    left = int(steps)
    agentgym.register({"luck": DeadlyLuckSpec, "locks": DeadlyLockSpec}[world]())
    Trainer(Run(Path(folder))).train()
