"""A tiny model, and random episodes as a policy of it would leave them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode, Outcome, StopReason, Thought, Turn
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.tokenizer import train_tokenizer

TASK = Task("t", "test/Env-v0", Split.TRAIN)

EpisodeMaker = Callable[..., Episode]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["go to fridge 1", "open fridge 1", "You arrive at fridge 1."] * 3, 300)


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    sizes = ModelConfig(hidden_size=32, layers=2, heads=2, kv_heads=1, head_dim=16, mlp_size=48)
    return make_model(sizes, tokenizer, seed=1, device="cpu")


@pytest.fixture
def make_episode() -> EpisodeMaker:
    def build(
        seed: int,
        turns: int = 3,
        *,
        group: str = "g",
        score: float = 0.0,
        window: bool = False,
        thoughts: int = 0,
    ) -> Episode:
        """Random tokens; with `window`, every turn but the first drops the middle of its context. Each thought
        drops a random part of its end."""
        random = np.random.default_rng(seed)

        def draw(low: int, high: int) -> NDArray[np.int32]:
            return random.integers(0, 200, random.integers(low, high)).astype(np.int32)

        made: list[Turn] = []
        length = 0
        for number in range(turns):
            before: list[Thought] = []
            for _ in range(thoughts):
                start = int(random.integers(length + 1))
                prompt, answer = draw(3, 9), draw(1, 5)
                length = start + len(prompt) + len(answer)
                logprobs = random.normal(-5.0, 0.3, len(answer)).astype(np.float32)
                before.append(Thought(0, start, prompt, answer, logprobs, np.ones(len(answer), np.int8)))
            prompt, answer = draw(3, 9), draw(1, 5)
            start = min(2, length) if window else length
            length = start + len(prompt) + len(answer)
            made.append(
                Turn(
                    observation="o",
                    action="a",
                    reward=score if number == turns - 1 else 0.0,
                    terminated=number == turns - 1,
                    truncated=False,
                    valid=True,
                    state_key=str(random.integers(3)),
                    policy_version=0,
                    prompt_start=start,
                    prompt_ids=prompt,
                    completion_ids=answer,
                    logprobs=random.normal(-5.0, 0.3, len(answer)).astype(np.float32),
                    loss_mask=np.ones(len(answer), np.int8),
                    thoughts=tuple(before),
                )
            )
        outcome = Outcome.SUCCESS if score else Outcome.FAILURE
        return Episode(f"e{seed}", TASK, group, made, outcome, score, StopReason.COMPLETED, seed)

    return build
