"""Drift: zero where the context is the goal and the present, else the divergence that it says it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from agentgym.core.message import Message
from agentgym.policies.divergence import DriftGauge, goal_only
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.rendering import ChatRenderer
from agentgym.policies.tokenizer import train_tokenizer

TOKENIZER = train_tokenizer(["go to fridge 1", "open fridge 1", "You arrive at fridge 1."] * 3, 300)
OPENING = [Message("system", "Act."), Message("user", "find a cup")]
LATER = [*OPENING, Message("assistant", "open fridge 1"), Message("user", "It is open.")]


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    sizes = ModelConfig(hidden_size=32, layers=2, heads=2, kv_heads=1, head_dim=16, mlp_size=48, init_std=0.3)
    return make_model(sizes, TOKENIZER, seed=1, device="cpu")


def test_what_lies_between_goal_and_present_is_left_out() -> None:
    assert goal_only(OPENING) == OPENING
    longer = [*LATER, Message("assistant", "close fridge 1"), Message("user", "It is shut.")]
    assert goal_only(longer) == [OPENING[0], Message("user", "find a cup\n\nIt is shut.")]


def test_the_first_answer_and_an_empty_one_have_not_drifted(model: PreTrainedModel) -> None:
    gauge = DriftGauge(model, TOKENIZER)
    assert gauge.drift(OPENING, [5, 6]) == 0.0
    assert gauge.drift(LATER, []) == 0.0


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_it_is_the_mean_divergence_of_the_answers_tokens(model: PreTrainedModel, temperature: float) -> None:
    answer = [7, 8, 9]

    def distributions(messages: list[Message]) -> np.ndarray[Any, Any]:
        """By one forward pass for each token, in float64."""
        found: list[Any] = []
        for place in range(len(answer)):
            ids = [*ChatRenderer(TOKENIZER).context(messages, (), None).prompt_ids, *answer[:place]]
            with torch.no_grad():
                whole: Any = model(torch.tensor([ids]))
            found.append(torch.softmax(whole.logits[0, -1].double() / temperature, -1).numpy())
        return np.array(found)

    p, q = distributions(LATER), distributions(goal_only(LATER))
    expected = (p * np.log(p / q)).sum(-1).mean()
    assert expected > 1e-3
    assert DriftGauge(model, TOKENIZER, temperature=temperature).drift(LATER, answer) == pytest.approx(
        expected, rel=1e-3
    )


def test_greedy_play_is_measured_at_temperature_one(model: PreTrainedModel) -> None:
    greedy, whole = (DriftGauge(model, TOKENIZER, temperature=each) for each in (0.0, 1.0))
    assert greedy.drift(LATER, [7, 8]) == whole.drift(LATER, [7, 8]) > 0
