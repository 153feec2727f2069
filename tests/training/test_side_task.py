"""Predicting the critique besides acting."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from agentgym.agents.conversation import History
from agentgym.core.trace import Episode
from agentgym.policies.models import LoadedModel
from agentgym.policies.rendering import ChatRenderer
from agentgym.training.critique import critique
from agentgym.training.learner import Learner
from agentgym.training.packing import pack
from agentgym.training.sections import OptimiserSection
from agentgym.training.side_task import FeedbackModelling, SideTasks
from agentgym.training.turns import TurnTable
from tests.training.teachers.conftest import Player, play, small_tokenizer, student, world_text

__all__ = ["play", "small_tokenizer", "student", "world_text"]


@pytest.mark.parametrize("history", ["full", 1])
def test_only_the_critique_is_predicted_after_the_whole_attempt(
    student: LoadedModel, play: Player, history: History
) -> None:
    renderer = ChatRenderer(student.tokenizer)
    episode = play(student, history)[0]
    task = FeedbackModelling().task(episode, renderer, history)
    assert task is not None
    (row,) = pack([task])
    assert renderer.decode(row.ids[row.target].tolist()) == critique(episode).strip()
    last = episode.turns[-1]
    assert renderer.decode(task.turns[-1].prompt_ids.tolist()).endswith("<|user|>")
    assert not any(turn.loss_mask.any() for turn in task.turns[:-1])
    assert task.turns[-2].completion_ids is last.completion_ids
    assert FeedbackModelling().task(replace(episode, turns=()), renderer, history) is None


def learned(
    student: LoadedModel, episodes: list[Episode], lr: float, micro: int, steps: int = 1
) -> list[float]:
    """Return the losses of steps that learn nothing but the side task."""
    side = SideTasks(FeedbackModelling(weight=0.5), ChatRenderer(student.tokenizer), "full")
    learner = Learner(student.model, OptimiserSection(lr=lr), side=side, tokens_per_microbatch=micro)
    turns = TurnTable.from_episodes(episodes)
    return [learner.learn(episodes, turns, turns.reward_R * 0)["loss"] for _ in range(steps)]


def test_the_loss_is_the_weighted_mean_cross_entropy_however_it_is_split(
    student: LoadedModel, play: Player
) -> None:
    episodes = play(student)
    renderer = ChatRenderer(student.tokenizer)
    total, count = 0.0, 0
    for episode in episodes:
        task = FeedbackModelling().task(episode, renderer, "full")
        assert task is not None
        (row,) = pack([task])
        with torch.no_grad():
            logits = student.model(torch.from_numpy(row.ids[None].astype("int64"))).logits[0]
        logp = logits.log_softmax(-1)[
            torch.from_numpy(row.target - 1), torch.from_numpy(row.ids[row.target]).long()
        ]
        total, count = total - float(logp.sum()), count + len(row.target)
    for micro in (64, 16384):
        (loss,) = learned(student, episodes, 1e-9, micro)
        assert loss == pytest.approx(0.5 * total / count, rel=1e-3)


def test_it_is_learned_where_no_reward_says_anything(student: LoadedModel, play: Player) -> None:
    losses = learned(student, play(student), 3e-3, 16384, steps=6)
    assert losses[-1] < 0.9 * losses[0]
