"""Episodes for the tests of what is learned from them."""

from collections.abc import Sequence

import numpy as np

from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode, Outcome, StopReason, Turn

ANSWER = "the golden answer is marzipan"


def episode(
    name: str = "e1",
    actions: Sequence[str] = ("open fridge 1", "take apple 1 from fridge 1"),
    *,
    outcome: Outcome = Outcome.SUCCESS,
    split: Split = Split.TRAIN,
    told: str = "You are in a kitchen. Your task is to: find an apple.",
    shown: tuple[str, ...] = (),
) -> Episode:
    none = np.empty(0, np.int32)
    turns = [
        Turn(
            observation=told if n == 0 else f"You did {actions[n - 1]}.",
            action=action,
            reward=0.0,
            terminated=False,
            truncated=False,
            valid=True,
            state_key=str(n),
            policy_version=0,
            prompt_start=0,
            prompt_ids=none,
            completion_ids=none,
            logprobs=none.astype(np.float32),
            loss_mask=none.astype(np.int8),
            shown_items=shown if n == 0 else (),
        )
        for n, action in enumerate(actions)
    ]
    score = float(outcome is Outcome.SUCCESS) if outcome.scored else None
    task = Task("t", "agentgym/Kitchen-v0", split, params={"task_type": "find", "answer": ANSWER})
    stop = StopReason.COMPLETED if outcome.scored else StopReason.ERROR
    return Episode(name, task, "g", turns, outcome, score, stop, seed=0, final_observation="It is over.")
