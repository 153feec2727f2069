"""Critics against closed forms, and what goes into and comes out of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from agentgym.core.errors import CheckpointError, UsageError
from agentgym.training.advantages.critic import Implicit, Improvement, Leftover
from agentgym.training.critics.base import Learned, Transitions
from agentgym.training.critics.estimator import Estimator
from agentgym.training.critics.features import Features, turn_features
from agentgym.training.critics.regressions import Expectile, MonteCarlo, expectile_loss
from agentgym.training.turns import TurnTable, Values
from tests.training.conftest import EpisodeMaker


def table(rewards: list[list[float]], tokens: list[int] | None = None) -> TurnTable:
    """One trajectory per list of rewards."""
    turns = [(t, n) for t, path in enumerate(rewards) for n in range(len(path))]
    return TurnTable(
        trajectory_R=np.array([t for t, _ in turns]),
        turn_R=np.array([n for _, n in turns]),
        state_R=np.arange(len(turns)),
        reward_R=np.array([rewards[t][n] for t, n in turns], np.float64),
        valid_R=np.ones(len(turns), np.bool_),
        tokens_R=np.array(tokens or [1] * len(turns)),
        group_T=np.arange(len(rewards)),
        score_T=np.array([sum(path) for path in rewards], np.float64),
    )


def one_hot(indices: list[int], size: int) -> torch.Tensor:
    return torch.eye(size)[indices]


def trained(critic: Learned, turns: TurnTable, features: Features, iterations: int) -> Estimator:
    estimator = Estimator(critic, features.state_RH.shape[1])
    for iteration in range(iterations):
        estimator.learn(turns, features, iteration)
    return estimator


def expectile_of(sample: Values, share: float) -> float:
    """Find e with share x E[(x - e)+] = (1 - share) x E[(e - x)+] by bisection."""
    low, high = float(sample.min()), float(sample.max())
    for _ in range(60):
        middle = (low + high) / 2
        above, below = np.maximum(sample - middle, 0).mean(), np.maximum(middle - sample, 0).mean()
        low, high = (middle, high) if share * above > (1 - share) * below else (low, middle)
    return low


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_expectile_loss_is_least_at_the_expectile(share: float) -> None:
    sample = np.random.default_rng(0).normal(size=50) ** 2
    guess = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([guess], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = expectile_loss(torch.from_numpy(sample) - guess, share).mean()
        value.backward()  # pyright: ignore[reportUnknownMemberType]
        return value

    optimiser.step(loss)  # pyright: ignore[reportUnknownMemberType]
    assert guess.item() == pytest.approx(expectile_of(sample, share), abs=1e-5)


def test_monte_carlo_learns_the_mean_of_what_follows() -> None:
    turns = table([[0, 1], [0, 0], [0, 1], [0, 1]])
    state_RH = one_hot([0, 1, 0, 2, 0, 1, 0, 1], 3)
    estimator = trained(MonteCarlo(lr=1e-2, passes=10), turns, Features(state_RH, state_RH), 40)
    np.testing.assert_allclose(
        estimator.value(Features(state_RH, state_RH))[:4], [0.75, 1, 0.75, 0], atol=0.02
    )


def test_td_finds_the_discounted_values_of_a_chain() -> None:
    """Three states in a row, then reward 1: V = gamma^steps, whatever the expectile, for the chain has no choice."""
    turns = table([[0, 0, 1]])
    state_RH = one_hot([0, 1, 2], 3)
    features = Features(state_RH, state_RH)
    critic = Expectile(lr=1e-2, passes=20, gamma=0.8, polyak=0.1, expectile=0.6)
    estimator = trained(critic, turns, features, 40)
    np.testing.assert_allclose(estimator.quality(features), [0.64, 0.8, 1.0], atol=0.03)
    np.testing.assert_allclose(estimator.value(features), [0.64, 0.8, 1.0], atol=0.03)


def test_a_high_expectile_values_a_state_by_its_better_answers() -> None:
    turns = table([[1.0], [0.0]])
    features = Features(one_hot([0, 0], 3), one_hot([1, 2], 3))
    values = [
        trained(Expectile(lr=1e-2, passes=20, polyak=0.1, expectile=share), turns, features, 40).value(
            features
        )[0]
        for share in (0.5, 0.9)
    ]
    np.testing.assert_allclose(values, [0.5, 0.9], atol=0.03)  # of 0 and 1, the expectile is the share itself


def test_turns_without_an_answer_are_passed_over() -> None:
    turns = table([[1, 2, 4], [8, 16]], tokens=[3, 0, 3, 0, 3])
    features = Features(torch.arange(5.0)[:, None], torch.zeros(5, 1))
    found = Transitions.of(turns, features)
    assert found.reward_R.tolist() == [3, 4, 16]
    assert found.return_R.tolist() == [7, 4, 16]
    assert found.last_R.tolist() == [False, True, True]
    assert found.next_RH[0].tolist() == [2]


def test_a_critic_goes_on_exactly_where_it_was_saved(tmp_path: Path) -> None:
    turns, critic = table([[0, 0, 1], [0, 0.5]]), Expectile(batch=2)
    features = Features(*torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0)))
    straight = Estimator(critic, 8, seed=3)
    straight.learn(turns, features, 0)
    straight.save(tmp_path)
    metrics = straight.learn(turns, features, 1)
    resumed = Estimator(critic, 8, seed=3)
    resumed.load(tmp_path)
    assert resumed.learn(turns, features, 1) == metrics
    assert resumed.value(features).tolist() == straight.value(features).tolist()
    assert resumed.quality(features).tolist() == straight.quality(features).tolist()
    with pytest.raises(CheckpointError, match="critic of another shape"):
        Estimator(Expectile(hidden=7), 8).load(tmp_path)
    with pytest.raises(CheckpointError, match="has no critic"):
        Estimator(critic, 8).load(tmp_path / "critic")


def test_a_seed_gives_the_same_critic_and_leaves_the_global_generator_alone() -> None:
    features = Features(*torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0)))
    before = torch.random.get_rng_state()
    one, same, other = (Estimator(MonteCarlo(), 8, seed=seed).value(features).tolist() for seed in (1, 1, 2))
    assert one == same != other
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("window", [False, True])
def test_features_are_the_last_hidden_states_before_and_after_an_answer(
    model: PreTrainedModel, make_episode: EpisodeMaker, window: bool
) -> None:
    episodes = [make_episode(seed, 3, window=window) for seed in range(3)]
    features = turn_features(model, episodes, 40)
    row = 0
    for episode in episodes:
        ids = np.empty(0, np.int32)
        for turn in episode.turns:
            context = np.concatenate([ids[: turn.prompt_start], turn.prompt_ids])
            ids = np.concatenate([context, turn.completion_ids])
            with torch.no_grad():
                alone = model.base_model(torch.from_numpy(ids.astype(np.int64))[None]).last_hidden_state[0]
            torch.testing.assert_close(features.state_RH[row], alone[len(context) - 1], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(features.answer_RH[row], alone[-1], atol=1e-4, rtol=1e-4)
            row += 1


def judged(value: list[float], quality: list[float]) -> TurnTable:
    turns = table([[1.0], [0.0], [0.5]])
    return TurnTable(
        **{
            name: getattr(turns, name)
            for name in TurnTable.__dataclass_fields__
            if name not in ("value_R", "quality_R")
        },
        value_R=np.array(value),
        quality_R=np.array(quality),
    )


def test_advantages_over_a_critic() -> None:
    turns = judged([0.25, 0.5, 0.5], [0.75, 0.0, 9.0])
    np.testing.assert_allclose(Leftover()(turns), [0.75, 0, 0])
    np.testing.assert_allclose(Implicit()(turns), [np.exp(1.5), np.exp(-1.5), 100.0])
    np.testing.assert_allclose(Improvement()(turns), [1, 0, 1])


def test_without_a_critic_they_say_what_to_set() -> None:
    with pytest.raises(UsageError, match="critic=monte_carlo"):
        Leftover()(table([[1.0]]))
