"""What is no number stops a run before the weights change, and is kept; what teaches nothing changes nothing."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors import torch as safetensors_torch
from torch import Tensor
from transformers import PreTrainedModel

from agentgym.cli.progress import TerminalProgress
from agentgym.training.advantages.base import Advantage
from agentgym.training.learner import Learner
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.objective import Objective
from agentgym.training.losses.ratios import Ratio
from agentgym.training.losses.regularisers import Entropy
from agentgym.training.metrics import rollout_metrics
from agentgym.training.offending import NonFiniteLoss
from agentgym.training.recipe import OptimiserSection
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from agentgym.training.turns import TurnTable, Values
from agentgym.training.update import Update
from tests.training.conftest import EpisodeMaker
from tests.training.test_trainer import tiny


def weights(model: PreTrainedModel) -> Tensor:
    return torch.cat([weight.detach().flatten().clone() for weight in model.parameters()])


def learner_of(model: PreTrainedModel, *regularisers: Entropy) -> Learner:
    objective = Objective(gap_limit=math.inf, regularisers=regularisers)
    return Learner(model, OptimiserSection(lr=0.1), Update(objective))


def test_a_reward_that_is_no_number_names_episode_and_turn(
    model: PreTrainedModel, make_episode: EpisodeMaker
) -> None:
    episodes = [make_episode(0), make_episode(1, score=math.nan)]
    turns, before = TurnTable.from_episodes(episodes), weights(model)
    with pytest.raises(NonFiniteLoss, match=r"reward of episode 'e1', turn 2 is nan") as caught:
        learner_of(model).learn(episodes, turns, np.ones(6))
    assert caught.value.offending is not None
    assert caught.value.offending.tensors["reward_R"].shape == (3,)
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_so_does_an_advantage(model: PreTrainedModel, make_episode: EpisodeMaker, value: float) -> None:
    episodes = [make_episode(n) for n in range(2)]
    advantage_R = np.array([1.0, 1.0, 1.0, 1.0, value, 1.0])
    with pytest.raises(NonFiniteLoss, match=r"advantage of episode 'e1', turn 1 is"):
        learner_of(model).learn(episodes, TurnTable.from_episodes(episodes), advantage_R)


class Unbounded(Ratio):
    """A part of one's own, which forgot to bound what it returns."""

    def __call__(self, batch: TokenBatch) -> Tensor:
        return batch.logp_N - batch.old_logp_N


@pytest.mark.parametrize(
    ("logprob", "quantity"),
    [(math.nan, "old log-probability"), (-math.inf, "old log-probability"), (-1e3, "ratio")],
)
def test_a_token_is_named_and_its_micro_batch_kept(
    logprob: float, quantity: str, model: PreTrainedModel, make_episode: EpisodeMaker, tmp_path: Path
) -> None:
    episodes = [make_episode(n) for n in range(2)]
    episodes[1].turns[1].logprobs[-1] = logprob
    objective = Objective(ratio=Unbounded.model_construct(), gap_limit=math.inf)
    learner = Learner(model, OptimiserSection(lr=0.1), Update(objective))
    token = len(episodes[1].turns[1].completion_ids) - 1
    before = weights(model)
    with pytest.raises(
        NonFiniteLoss, match=rf"{quantity} of token {token} of episode 'e1', turn 1"
    ) as caught:
        learner.learn(episodes, TurnTable.from_episodes(episodes), np.ones(6))
    assert torch.equal(weights(model), before)
    assert caught.value.offending is not None
    path = caught.value.offending.save(tmp_path, 12)
    assert path.name == "iteration-000012.safetensors"
    tensors = safetensors_torch.load_file(path)
    assert not tensors["ratio_N"].isfinite().all()
    assert tensors["old_log_probability_N"].shape == tensors["advantage_N"].shape
    assert tensors["target_ids_N"].shape == tensors["loss_N"].shape
    facts = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert (facts["episode"], facts["turn"], facts["token"]) == ("episode 'e1'", 1, token)
    assert facts["token_id"] == int(episodes[1].turns[1].completion_ids[-1])


class Broken(Advantage):
    """Not a number for the second turn of the first trajectory."""

    def __call__(self, turns: TurnTable) -> Values:
        advantage_R = np.ones(len(turns.turn_R))
        advantage_R[1] = math.nan
        return advantage_R


def run_of(folder: Path, *settings: str) -> Run:
    recipe = tiny("iterations=1", "evaluation.heldout_tasks=0", "regularisers=[]", *settings)
    return Run.create(recipe, folder, "run")


def test_a_run_keeps_what_stopped_it_and_can_go_on(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    trainer = Trainer(run)
    trainer.recipe = trainer.recipe.model_copy(update={"advantage": Broken.model_construct()})
    with pytest.raises(NonFiniteLoss) as caught:
        trainer.train()
    kept = run.offending / "iteration-000000.safetensors"
    assert str(kept) in str(caught.value)
    assert re.search(
        r"advantage of episode '.+', turn 1 is nan; the weights were not changed", str(caught.value)
    )
    assert safetensors_torch.load_file(kept)["ids_L"].numel() > 0
    assert [path.name for path in run.checkpoints.iterdir()] == ["000000"]
    Trainer(run).train()
    assert len(run.lines()) == 1


def test_a_batch_that_teaches_nothing_is_counted(tmp_path: Path) -> None:
    run = run_of(tmp_path, "advantage=none")
    Trainer(run).train()
    (line,) = run.lines()
    assert (line["steps"], line["steps_without_update"]) == (0, 1)
    before, after = (
        safetensors_torch.load_file(run.checkpoints / n / "model.safetensors") for n in ("000000", "000001")
    )
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_episodes_without_a_trained_token_are_a_step_without_update(
    model: PreTrainedModel, make_episode: EpisodeMaker
) -> None:
    learner, before = learner_of(model), weights(model)
    episode = make_episode(0)
    silent = replace(
        episode, turns=[replace(turn, loss_mask=np.zeros_like(turn.loss_mask)) for turn in episode.turns]
    )
    for episodes in ([], [silent]):
        turns = TurnTable.from_episodes(episodes)
        advantage_R = np.ones(len(turns.turn_R))
        metrics = {
            **rollout_metrics(episodes, turns, advantage_R),
            **learner.learn(episodes, turns, advantage_R),
        }
        assert (metrics["steps"], metrics["steps_without_update"]) == (0, 1)
        assert all(math.isfinite(value) for value in metrics.values())
    assert torch.equal(weights(model), before)
    assert learner.iteration == 2


def test_steps_without_gradient_leave_momentum_at_rest(
    model: PreTrainedModel, make_episode: EpisodeMaker
) -> None:
    learner, episodes = learner_of(model), [make_episode(n) for n in range(2)]
    turns = TurnTable.from_episodes(episodes)
    assert learner.learn(episodes, turns, np.array([1.0, 1.0, 1.0, -1.0, -1.0, -1.0]))["steps"] == 1
    before = weights(model)
    assert learner.learn(episodes, turns, np.zeros(6))["steps_without_update"] == 1
    assert torch.equal(weights(model), before), "AdamW would have gone on"
    regularised = learner_of(model, Entropy(coefficient=0.1))
    assert regularised.learn(episodes, turns, np.zeros(6))["steps"] == 1, (
        "a regulariser teaches without advantage"
    )


def test_the_progress_shows_steps_without_update() -> None:
    out = Console(file=io.StringIO(), width=120)
    numbers = dict.fromkeys(("success", "turns", "entropy", "clip_share", "gap_mean", "no_signal_share"), 0.0)
    times = {"rollout_s": 1.0, "learn_s": 1.0}
    progress = TerminalProgress(out)
    progress.iteration(0, {**numbers, "unscored": 0, "steps": 0, "steps_without_update": 4}, times)
    progress.iteration(1, {**numbers, "unscored": 0, "steps": 3, "steps_without_update": 1}, times)
    progress.iteration(2, {**numbers, "unscored": 0, "steps": 4, "steps_without_update": 0}, times)
    shown = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert "no update" in shown[1]
    assert "1 of 4 steps without update" in shown[2]
    assert "update" not in shown[3]
