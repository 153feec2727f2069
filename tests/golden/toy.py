"""A policy of a few weights that real optimiser steps can be taken on: in turn t it answers by softmax(theta[t] + w).

Legend: T turns, V answers, L tokens of a packed sequence.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, Qwen3Config

from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode, Outcome, StopReason, Turn

TASK = Task("t", "test/Toy-v0", Split.TRAIN)


class ToyPolicy(PreTrainedModel):
    """Every turn is a prompt of one token and an answer of `length` tokens, each drawn independently."""

    config_class = Qwen3Config
    _supports_sdpa = True

    def __init__(self, theta_TV: Any, w_V: Any, length: int) -> None:
        super().__init__(Qwen3Config(num_hidden_layers=0))  # nothing attends
        self.theta_TV = nn.Parameter(torch.tensor(theta_TV))
        self.w_V = nn.Parameter(torch.tensor(w_V))
        self.length = length

    def forward(self, *, position_ids: Tensor, logits_to_keep: Tensor, **_: Any) -> Any:
        turn_L = position_ids[0] // (1 + self.length)
        return SimpleNamespace(logits=(self.theta_TV[turn_L[logits_to_keep]] + self.w_V)[None])


def toy_episode(number: int, answers: list[list[int]], group: str, score: float) -> Episode:
    """The episode of an answer for each turn; its log-probabilities are unknown, and its prompts unique."""
    turns: list[Turn] = []
    for position, answer in enumerate(answers):
        turns.append(
            Turn(
                observation="o",
                action="a",
                reward=score if position == len(answers) - 1 else 0.0,
                terminated=position == len(answers) - 1,
                truncated=False,
                valid=True,
                state_key=str(position),
                policy_version=0,
                prompt_start=sum(1 + len(before) for before in answers[:position]),
                prompt_ids=np.array([1000 * (1 + number) + position], np.int32),
                completion_ids=np.array(answer, np.int32),
                logprobs=np.zeros(len(answer), np.float32),
                loss_mask=np.ones(len(answer), np.int8),
            )
        )
    return Episode(f"e{number}", TASK, group, turns, Outcome.FAILURE, score, StopReason.COMPLETED, number)
