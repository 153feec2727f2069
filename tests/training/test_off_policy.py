"""What learning from another policy's samples asks of the learner: the gap's alarm, an averaged proximal policy,
and exact resuming of both and of replay.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from agentgym.core.errors import CheckpointError
from agentgym.core.trace import Episode
from agentgym.store.store import Store
from agentgym.training.advantages.group import GroupMean
from agentgym.training.learner import Learner
from agentgym.training.losses.corrections import TruncatedImportance
from agentgym.training.losses.objective import Objective
from agentgym.training.packing import pack
from agentgym.training.progress import Silent
from agentgym.training.proximal import Average, Recomputed
from agentgym.training.recipe import OptimiserSection, load_recipe
from agentgym.training.run import Run
from agentgym.training.schedules.base import Simultaneous
from agentgym.training.scoring import score_tokens
from agentgym.training.step import SamplerGap
from agentgym.training.trainer import Trainer
from agentgym.training.turns import TurnTable
from agentgym.training.update import Update
from tests.training.conftest import EpisodeMaker
from tests.training.test_trainer import TINY

FAST = OptimiserSection(lr=1e-3)


def sampled_by(model: PreTrainedModel, temperature: float, episodes: list[Episode]) -> list[Episode]:
    """The episodes as the model would have reported their tokens at a temperature."""
    rows = pack(episodes)
    count = sum(turn.loss_mask.sum() for episode in episodes for turn in episode.turns)
    logp_N = score_tokens(model, rows, int(count), temperature=temperature, tokens_per_microbatch=4096).logp_N
    turns = [turn for episode in episodes for turn in episode.turns]
    pieces = iter(np.split(logp_N, np.cumsum([len(turn.completion_ids) for turn in turns])[:-1]))
    return [
        replace(episode, turns=[replace(turn, logprobs=next(pieces)) for turn in episode.turns])
        for episode in episodes
    ]


@pytest.fixture
def episodes(model: PreTrainedModel, make_episode: EpisodeMaker) -> list[Episode]:
    """Played by the model, at temperature 1."""
    return sampled_by(model, 1.0, [make_episode(seed, score=float(seed % 2)) for seed in range(4)])


def learn(learner: Learner, episodes: list[Episode]) -> dict[str, float]:
    turns = TurnTable.from_episodes(episodes)
    return learner.learn(episodes, turns, GroupMean()(turns))


def weights(model: PreTrainedModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def sharpened(model: PreTrainedModel) -> PreTrainedModel:
    """A model with opinions, so that the temperature matters."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0)
    return model


def test_a_wrong_temperature_stops_the_run(model: PreTrainedModel, episodes: list[Episode]) -> None:
    sharpened(model)
    learner = Learner(model, FAST, Update(Objective(gap_limit=0.05)))
    before = weights(model)
    with pytest.raises(SamplerGap, match="same weights, temperature"):
        learn(learner, sampled_by(model, 0.5, episodes))
    torch.testing.assert_close(weights(model), before, rtol=0, atol=0)
    assert learn(learner, sampled_by(model, 1.0, episodes))["gap_corrected"] == 0.0
    assert not torch.equal(weights(model), before)


def test_a_wrong_temperature_is_corrected_by_importance_weights(
    model: PreTrainedModel, episodes: list[Episode]
) -> None:
    other = deepcopy(sharpened(model))
    played = sampled_by(model, 0.5, episodes)
    learner = Learner(model, FAST, Update(Objective(gap_limit=0.05), gap_action="correct"))
    metrics = learn(learner, played)
    assert metrics["gap_corrected"] == 1.0
    assert metrics["gap_mean"] > 0.05
    weighed = Update(Objective(corrections=[TruncatedImportance(cap=2.0)]), proximal=Recomputed())
    expected = learn(Learner(other, FAST, weighed), played)
    torch.testing.assert_close(weights(model), weights(other), rtol=0, atol=0)
    assert metrics["gap_mean"] == expected["gap_mean"]
    assert metrics["trained_tokens"] == expected["trained_tokens"]


def test_old_samples_are_no_gap(model: PreTrainedModel, episodes: list[Episode]) -> None:
    """What an earlier policy sampled differs from what this one would: staleness, not an alarm."""
    learner = Learner(model, FAST, Update(Objective(gap_limit=0.05)))
    learner.iteration = 3
    old = sampled_by(sharpened(deepcopy(model)), 1.0, episodes)
    stale = [replace(e, turns=[replace(turn, policy_version=1) for turn in e.turns]) for e in old]
    metrics = learn(learner, stale)
    assert metrics["staleness"] == 2.0
    assert metrics["gap_mean"] == 0.0


def test_the_average_weighs_its_steps_as_defined(model: PreTrainedModel, episodes: list[Episode]) -> None:
    part = Average(window=2)
    learner = Learner(model, FAST, Update(proximal=part, schedule=Simultaneous(epochs=3)))
    average = learner.average
    assert average is not None
    states = [weights(model)]
    for _ in range(4):
        learn(learner, sampled_by(model, 1.0, episodes))
        states.append(weights(model))
    assert average.total == pytest.approx(sum(0.5**k for k in range(13)))  # 4 x 3 steps and the beginning
    single = Learner(deepcopy(model), FAST, Update(proximal=part)).average
    assert single is not None
    means = [states[0]]
    single.restart(model)
    with torch.no_grad():
        for state in states[1:]:
            moved = deepcopy(model)
            torch.nn.utils.vector_to_parameters(state, moved.parameters())
            single.update(moved)
            means.append(state)
    powers = torch.tensor([0.5 ** (4 - i) for i in range(5)])
    started = [weights(model), *states[1:]]
    expected = sum(power * state for power, state in zip(powers, started, strict=True)) / powers.sum()
    torch.testing.assert_close(weights(single.model), expected)


def test_an_average_that_strayed_starts_anew(model: PreTrainedModel, episodes: list[Episode]) -> None:
    learner = Learner(model, FAST, Update(proximal=Average(band=1.5)))
    assert learner.average is not None
    assert learn(learner, episodes)["average_restarts"] == 0.0
    metrics = learn(learner, sampled_by(sharpened(model), 1.0, episodes))
    assert metrics["average_near_share"] < 0.9
    assert metrics["average_restarts"] == 1.0
    assert metrics["gap_mean"] < 1e-4


def test_an_average_is_saved_to_the_last_bit(
    model: PreTrainedModel, episodes: list[Episode], tmp_path: Path
) -> None:
    learner = Learner(model, FAST, Update(proximal=Average()))
    learn(learner, episodes)
    again = Learner(deepcopy(model), FAST, Update(proximal=Average()))
    assert learner.average is not None
    assert again.average is not None
    learner.average.save(tmp_path)
    again.average.load(tmp_path)
    torch.testing.assert_close(weights(again.average.model), weights(learner.average.model), rtol=0, atol=0)
    assert again.average.total == learner.average.total
    with pytest.raises(CheckpointError, match="another `proximal`"):
        again.average.load(tmp_path / "elsewhere")


OFF_POLICY = [
    *TINY,
    "iterations=4",
    "evaluation.heldout_tasks=0",
    "proximal={name = 'average', window = 3}",
    "replay={name = 'recent', share = 0.5, reincarnate_at = 2}",
    "regularisers=[{name = 'kl_mix', coefficient = 0.05, start = 0, every = 1}]",
    "schedule.epochs=2",
    "gap_limit=1e-12",
    "gap_action=correct",
]


class Told(Silent):
    """Remembers what was said, and interrupts after an iteration."""

    def __init__(self, last: int = 100) -> None:
        self.said: list[str] = []
        self._last = last

    def say(self, text: str) -> None:
        self.said.append(text)

    def iteration(self, iteration: int, metrics: Mapping[str, float], timing: Mapping[str, float]) -> None:
        if iteration == self._last:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Told]:
    run = Run.create(load_recipe("quickstart", OFF_POLICY), tmp_path_factory.mktemp("runs"), "whole")
    told = Told()
    Trainer(run, told).train()
    return run, told


def test_a_run_tells_what_it_replays_renews_and_corrects(finished: tuple[Run, Told]) -> None:
    run, told = finished
    lines = run.lines()
    assert [line["replayed"] > 0 for line in lines] == [False, True, False, False]
    assert 0 < lines[1]["staleness"] < 1
    assert lines[1]["sampled_tokens"] < lines[1]["trained_tokens"] / 2
    assert lines[1]["kl"] != 0
    assert lines[2]["kl"] != lines[1]["kl"]
    assert all(line["gap_corrected"] == 1.0 for line in lines)
    assert sum("corrected by importance weights" in text for text in told.said) == 4
    assert any("is the reference from here on" in text for text in told.said)
    with Store(run.store) as store:
        played = list(store.episodes("whole"))
    assert len(played) == len({episode.id for episode in played})


@pytest.mark.parametrize("last", [0, 2])
def test_an_interrupted_run_goes_on_with_the_same_numbers(
    finished: tuple[Run, Told], tmp_path: Path, last: int
) -> None:
    run = Run.create(load_recipe("quickstart", OFF_POLICY), tmp_path, "whole")
    with pytest.raises(KeyboardInterrupt):
        Trainer(run, Told(last)).train()
    Trainer(run).train()
    assert (run.path / "metrics.jsonl").read_text() == (finished[0].path / "metrics.jsonl").read_text()


RECIPES = [
    "gspo",
    "cispo",
    "sapo",
    "bapo",
    "rec_one_side",
    "rec_two_side",
    "rec_ring",
    "opmd",
    "asymre",
    "topr",
    "m2po",
    "decoupled_ppo",
    "tis",
    "rejection",
    "ppo_ewma",
    "remix",
    "clip_cov",
    "kl_cov",
    "minirl",
]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_learns_whatever_its_micro_batches(
    name: str, model: PreTrainedModel, episodes: list[Episode]
) -> None:
    """Two steps, from samples that are off by a little, as a whole and row by row."""
    steps = ["schedule.minibatches=2", "schedule.epochs=1"]
    recipe = load_recipe(name, ["optimiser.lr=1e-3", "gap_limit=1", *steps])
    played = sampled_by(model, 1.02, episodes)
    before, learned = weights(model), list[torch.Tensor]()
    for tokens in (16384, 64):
        own = deepcopy(model)
        learner = Learner(own, recipe.optimiser, Update.of(recipe), tokens_per_microbatch=tokens)
        turns = TurnTable.from_episodes(played)
        assert learner.learn(played, turns, recipe.advantage(turns))["steps"] >= 1.0
        learned.append(weights(own))
    assert not torch.equal(learned[0], before)
    # AdamW's first steps take the sign of a gradient: weights with next to none may differ by a step.
    torch.testing.assert_close(learned[0], learned[1], rtol=0, atol=2e-3)
    assert (learned[0] - learned[1]).abs().mean() < 0.02 * (learned[0] - before).abs().mean()
