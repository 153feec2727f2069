"""Packed rows hold exactly the tokens that were seen and sampled, and give the gradients of unpacked turns."""

from __future__ import annotations

import copy
import math
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agentgym.core.trace import Episode
from agentgym.training.advantages import GroupMean
from agentgym.training.losses import Kl, PpoClip, Regulariser, TokenBatch, TokenMean, TokenRatio
from agentgym.training.packing import pack
from agentgym.training.step import NonFiniteLoss, Objective, SamplerGap, Tally, optimiser_step
from agentgym.training.turns import TurnTable, Values
from tests.training.conftest import EpisodeMaker


def contexts(episode: Episode) -> list[list[int]]:
    """Each turn's whole context and completion, by the rule of `agentgym.core.trace`."""
    found: list[list[int]] = []
    for turn in episode.turns:
        before = found[-1][: turn.prompt_start] if found else []
        found.append([*before, *turn.prompt_ids.tolist(), *turn.completion_ids.tolist()])
    return found


def test_a_growing_conversation_is_one_row(make_episode: EpisodeMaker) -> None:
    episode = make_episode(0, 5)
    (row,) = pack([episode])
    assert row.ids.tolist() == contexts(episode)[-1]
    sampled = [token for turn in episode.turns for token in turn.completion_ids.tolist()]
    assert row.ids[row.target].tolist() == sampled
    np.testing.assert_array_equal(row.old_logp, np.concatenate([t.logprobs for t in episode.turns]))


def test_a_cut_context_starts_a_new_row(make_episode: EpisodeMaker) -> None:
    first, second = make_episode(1, 3, window=True), make_episode(2, 2)
    rows = pack([first, second])
    assert [row.ids.tolist() for row in rows] == [*contexts(first), contexts(second)[-1]]
    assert [sorted(set(row.turn.tolist())) for row in rows] == [[0], [1], [2], [3, 4]]


OBJECTIVES: dict[str, tuple[Regulariser, ...]] = {"plain": (), "with KL": (Kl(coefficient=0.1),)}


@pytest.mark.parametrize("regularisers", OBJECTIVES.values(), ids=OBJECTIVES.keys())
@pytest.mark.parametrize("window", [False, True])
@pytest.mark.parametrize("tokens", [32, 10_000])
def test_gradients_equal_those_of_one_sample_per_turn(
    model: PreTrainedModel,
    make_episode: EpisodeMaker,
    regularisers: tuple[Regulariser, ...],
    window: bool,
    tokens: int,
) -> None:
    episodes = [make_episode(n, 2 + n, score=float(n % 2), window=window) for n in range(4)]
    turns = TurnTable.from_episodes(episodes)
    advantage_R = GroupMean()(turns)
    objective = Objective(TokenRatio(), PpoClip(), regularisers, TokenMean(), temperature=0.8)
    reference = copy.deepcopy(model).requires_grad_(False)
    expected = one_sample_per_turn(copy.deepcopy(model), reference, episodes, advantage_R, objective)
    found = packed(
        model, reference if regularisers else None, episodes, turns, advantage_R, objective, tokens
    )
    for name, gradient in expected.items():
        scale = float(gradient.abs().max())
        assert float((found[name] - gradient).abs().max()) <= 1e-5 * max(scale, 1e-3), name


def packed(
    model: PreTrainedModel,
    reference: PreTrainedModel | None,
    episodes: list[Episode],
    turns: TurnTable,
    advantage_R: Values,
    objective: Objective,
    tokens: int,
) -> dict[str, Tensor]:
    optimiser_step(
        model,
        reference,
        torch.optim.SGD(model.parameters(), lr=0.0),
        pack(episodes),
        turns,
        np.arange(len(turns.turn_R)),
        advantage_R,
        objective,
        grad_clip=math.inf,
        tokens_per_microbatch=tokens,
        tally=Tally(),
    )
    return {name: cast("Tensor", weight.grad) for name, weight in model.named_parameters()}


def one_sample_per_turn(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    episodes: list[Episode],
    advantage_R: Values,
    objective: Objective,
) -> dict[str, Tensor]:
    """The plain way: a forward over each turn's whole context, with transformers' own attention."""
    total = sum(len(turn.completion_ids) for episode in episodes for turn in episode.turns)
    row = 0
    for episode in episodes:
        for turn, ids in zip(episode.turns, contexts(episode), strict=True):
            count = len(turn.completion_ids)
            logp, reference_logp = (
                logprobs(m, ids, count, objective.temperature) for m in (model, reference)
            )
            batch = TokenBatch(
                logp,
                torch.from_numpy(turn.logprobs),
                torch.full((count,), float(advantage_R[row])),
                torch.zeros(count, dtype=torch.long),
                reference_logp_N=reference_logp.detach(),
            )
            loss = objective.clip(objective.ratio(batch), batch).loss_N
            for term in objective.regularisers:
                loss = loss + term.coefficient * term(batch)
            (loss.sum() / total).backward()
            row += 1
    return {name: cast("Tensor", weight.grad) for name, weight in model.named_parameters()}


def logprobs(model: PreTrainedModel, ids: list[int], count: int, temperature: float) -> Tensor:
    logits: Tensor = model(torch.tensor([ids])).logits[0]
    chosen = torch.tensor(ids[-count:])
    all_logp = (logits[-count - 1 : -1] / temperature).log_softmax(-1)
    return all_logp.gather(-1, chosen[:, None])[:, 0]


def take_step(
    model: PreTrainedModel, episodes: list[Episode], advantage_R: Values, gap_limit: float = math.inf
) -> Tally:
    turns, tally = TurnTable.from_episodes(episodes), Tally()
    optimiser_step(
        model,
        None,
        torch.optim.SGD(model.parameters(), lr=1.0),
        pack(episodes),
        turns,
        np.arange(len(turns.turn_R)),
        advantage_R,
        Objective(TokenRatio(), PpoClip(), (), TokenMean(), 1.0, gap_limit),
        grad_clip=math.inf,
        tokens_per_microbatch=10_000,
        tally=tally,
    )
    return tally


def weights(model: PreTrainedModel) -> Tensor:
    return torch.cat([weight.detach().flatten().clone() for weight in model.parameters()])


def test_rows_that_teach_nothing_are_not_computed(model: PreTrainedModel, make_episode: EpisodeMaker) -> None:
    episodes = [make_episode(n) for n in range(3)]
    before = weights(model)
    tally = take_step(model, episodes, np.zeros(9))
    assert tally.computed_tokens == 0
    assert torch.equal(weights(model), before)
    only_last = np.array([0.0] * 6 + [1.0] * 3)
    assert take_step(model, episodes, only_last).computed_tokens == len(pack(episodes)[-1].ids)
    assert not torch.equal(weights(model), before)


def test_a_loss_that_is_no_number_leaves_the_weights_alone(
    model: PreTrainedModel, make_episode: EpisodeMaker
) -> None:
    before = weights(model)
    with pytest.raises(NonFiniteLoss, match="trajectory 0, turn 0"):
        take_step(model, [make_episode(0)], np.array([math.nan, 1.0, 1.0]))
    assert torch.equal(weights(model), before)


def test_a_sampler_that_disagrees_stops_the_step(model: PreTrainedModel, make_episode: EpisodeMaker) -> None:
    before = weights(model)
    with pytest.raises(SamplerGap, match="same weights, temperature and precision"):
        take_step(model, [make_episode(0)], np.ones(3), gap_limit=0.01)
    assert torch.equal(weights(model), before)
