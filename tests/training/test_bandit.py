"""Which estimators estimate the policy gradient: exactly, over every group of four that a two-turn bandit can play,
and through the loss, within sampling error. What is biased is measured, and the figures in docs/decisions are these.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agentgym.training.advantages.base import Advantage
from agentgym.training.advantages.batch import BatchNormalised
from agentgym.training.advantages.group import GroupMean, LeaveOneOut, LengthWeighted
from agentgym.training.advantages.hierarchy import Hierarchy
from agentgym.training.advantages.mixed import TurnBatchMix
from agentgym.training.advantages.offset import ShiftedMean, SoftBaseline
from agentgym.training.advantages.raw import Score
from agentgym.training.advantages.step import StepGroup
from agentgym.training.losses.aggregations import (
    Aggregation,
    Constant,
    RolloutMean,
    SeqMeanTokenSum,
    TokenMean,
    TurnMean,
)
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.clips import PpoClip
from agentgym.training.losses.objective import Objective
from agentgym.training.shaping.base import Shaping
from agentgym.training.shaping.returns import TokenReturns, Whiten
from agentgym.training.turns import Values
from tests.training import bandit
from tests.training.bandit import GRADIENT, PLAYS, Play, credit_table, direction_error, expected_gradient
from tests.training.shaping.tokens import tokens_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "decisions" / "008-biased-estimators.md"
SUM = Constant(tokens=1)
"""The mean over trajectories of the sum over tokens: no length enters."""


def test_the_closed_form_is_the_derivative_of_the_expected_reward() -> None:
    def value(go: float, win: float) -> float:
        odds = [1 / (1 + np.exp(-logit)) for logit in (go, win)]
        return float((1 - odds[0]) * bandit.STOP_REWARD + odds[0] * odds[1])

    go, win = (float(np.log(p / (1 - p))) for p in (bandit.GO, bandit.WIN))
    step = 1e-5
    numeric = [
        (value(go + step, win) - value(go - step, win)) / (2 * step),
        (value(go, win + step) - value(go, win - step)) / (2 * step),
    ]
    np.testing.assert_allclose(GRADIENT, numeric, rtol=1e-8)


@pytest.mark.parametrize(
    ("advantage", "aggregation", "shaping", "scale"),
    [
        (Score(), SUM, (), 1.0),
        (Score(), SUM, (TokenReturns(),), 1.0),
        (LeaveOneOut(), SUM, (), 1.0),
        (LeaveOneOut(), SeqMeanTokenSum(), (), 1.0),
        (GroupMean(), SUM, (), 0.75),  # the mean contains the rollout itself: (G - 1) / G
        (ShiftedMean(), SUM, (), 0.75),
        (BatchNormalised(std=False), SUM, (), 0.75),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_unbiased_up_to_a_known_scale(
    advantage: Advantage, aggregation: Aggregation, shaping: tuple[Shaping, ...], scale: float
) -> None:
    found = expected_gradient(advantage, aggregation, shaping)
    np.testing.assert_allclose(found, scale * GRADIENT, rtol=1e-6)


@pytest.mark.parametrize("members", [2, 3, 6])
def test_the_scale_of_a_group_mean_depends_on_the_size_of_the_group(members: int) -> None:
    found = expected_gradient(GroupMean(), SUM, members=members)
    np.testing.assert_allclose(found, (members - 1) / members * GRADIENT, rtol=1e-6)
    np.testing.assert_allclose(expected_gradient(LeaveOneOut(), SUM, members=members), GRADIENT, rtol=1e-6)


BIASED: dict[str, tuple[Advantage, Aggregation, tuple[Shaping, ...]]] = {
    "`group_mean`, statistics over turns": (GroupMean(statistics="turn"), SUM, ()),
    "`group_mean` with `std`": (GroupMean(std=True), SUM, ()),
    "`group_mean`, then `whiten`": (GroupMean(), SUM, (Whiten(),)),
    "`length_weighted`": (LengthWeighted(), SUM, ()),
    "`soft_baseline`, tau 1": (SoftBaseline(), SUM, ()),
    "`score`, `token_returns` reset at gaps": (Score(), SUM, (TokenReturns(reset_at_gaps=True),)),
    "`step_group` without `std`, gamma 1": (StepGroup(std=False, gamma=1.0), SUM, ()),
    "`step_group` without `std`, gamma 0.95": (StepGroup(std=False), SUM, ()),
    "`step_group` with `std`": (StepGroup(), SUM, ()),
    "`hierarchy` without `std`": (Hierarchy(std=False), SUM, ()),
    "`turn_batch_mix` without `std`, gamma 1": (TurnBatchMix(std=False, gamma=1.0), SUM, ()),
    "`batch_normalised` without placeholders, without `std`": (
        BatchNormalised(std=False, placeholders=False),
        SUM,
        (),
    ),
    "`leave_one_out`, `token_mean`": (LeaveOneOut(), TokenMean(), ()),
    "`leave_one_out`, `turn_mean`": (LeaveOneOut(), TurnMean(), ()),
    "`leave_one_out`, `rollout_mean`": (LeaveOneOut(), RolloutMean(), ()),
    "`group_mean` with `std`, `token_mean` (GRPO)": (GroupMean(std=True), TokenMean(), ()),
}


@pytest.mark.parametrize("name", BIASED)
def test_the_bias_is_what_the_document_says(name: str) -> None:
    gradient = expected_gradient(*BIASED[name])
    length, angle = float(np.linalg.norm(gradient) / np.linalg.norm(GRADIENT)), direction_error(gradient)
    assert angle > 0.5, "no bias to speak of: move it to the unbiased ones"
    assert f"| {name} | {length:.2f} | {angle:.0f} |" in DOCUMENT.read_text("utf-8").splitlines()


def test_the_document_lists_nothing_else() -> None:
    rows = [line for line in DOCUMENT.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(BIASED)


def test_dividing_by_the_deviation_reverses_what_small_rewards_teach() -> None:
    """Going on is worth more than stopping, yet groups that differ only by the small reward are blown up."""
    assert GRADIENT[0] > 0
    assert expected_gradient(GroupMean(std=True), SUM)[0] < 0


@pytest.mark.parametrize(
    ("advantage", "scale"), [(LeaveOneOut(), 1.0), (GroupMean(), 0.75), (GroupMean(std=True), 0.0)]
)
def test_the_loss_gives_the_gradient_within_sampling_error(advantage: Advantage, scale: float) -> None:
    """From sampled groups, through ratio, clip and aggregation; the third is told apart from the truth."""
    sample_G = sampled_gradients(advantage, count=4000, seed=3)
    mean, error = sample_G.mean(0), sample_G.std(0, ddof=1) / np.sqrt(len(sample_G))
    if scale:
        assert (np.abs(mean - scale * GRADIENT) < 4 * error).all()
    np.testing.assert_array_less(np.abs(mean - expected_gradient(advantage, SUM)), 4 * error)
    across = np.array([-GRADIENT[1], GRADIENT[0]])
    sideways = sample_G @ across
    deviation = abs(sideways.mean()) / (sideways.std(ddof=1) / np.sqrt(len(sideways)))
    assert deviation < 4 if scale else deviation > 20


def sampled_gradients(advantage: Advantage, count: int, seed: int) -> Values:
    """Return the gradient that the loss gives for each of `count` sampled groups of four, shape (count, 2)."""
    random = np.random.default_rng(seed)
    drawn = random.choice(len(PLAYS), (count, 4), p=[play.probability for play in PLAYS])
    groups: list[list[Play]] = [[PLAYS[play] for play in row] for row in drawn.tolist()]
    turns = credit_table(groups)
    tokens = tokens_of(turns)
    logp_N = torch.zeros(len(tokens), requires_grad=True)
    batch = TokenBatch(
        logp_N=logp_N,
        old_logp_N=torch.zeros(len(tokens)),
        advantage_N=torch.from_numpy(advantage(turns)[tokens.turn_N].astype(np.float32)),
        turn_N=torch.from_numpy(tokens.turn_N),
    )
    weight_R = SUM.weights(torch.from_numpy(turns.tokens_R), torch.from_numpy(turns.trajectory_R))
    loss = Objective(clip=PpoClip(), aggregation=SUM)(batch).loss_N * weight_R[batch.turn_N]
    loss.sum().backward()
    assert logp_N.grad is not None
    first_R = np.flatnonzero(tokens.position_N == 0)
    pull_R = -count * logp_N.grad.numpy()[first_R].astype(np.float64)
    scores = [score for group in groups for play in group for score in play.scores]
    gradient_G = np.zeros((count, 2))
    parameter_R = np.array([parameter for parameter, _ in scores])
    np.add.at(gradient_G, (turns.group_R, parameter_R), pull_R * np.array([score for _, score in scores]))
    return gradient_G
