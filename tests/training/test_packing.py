"""Packed rows hold exactly the tokens that were seen and sampled, and give the gradients of unpacked turns."""

from __future__ import annotations

import copy
import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agentgym.core.trace import Episode, Thought, Turn
from agentgym.training.advantages.group import GroupMean
from agentgym.training.learner import Learner
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.objective import Objective
from agentgym.training.losses.regularisers import Kl, Regulariser
from agentgym.training.packing import Row, pack
from agentgym.training.recipe import OptimiserSection
from agentgym.training.schedules.base import Step
from agentgym.training.step import Batch, Limits, NonFiniteLoss, SamplerGap, optimiser_step
from agentgym.training.tally import Tally
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import TurnTable, Values
from agentgym.training.update import Update
from tests.training.conftest import EpisodeMaker


def contexts(episode: Episode) -> list[list[int]]:
    """Each completion's whole context and itself, by the rule of `agentgym.core.trace`."""
    found: list[list[int]] = []
    for part in completions(episode):
        before = found[-1][: part.prompt_start] if found else []
        found.append([*before, *part.prompt_ids.tolist(), *part.completion_ids.tolist()])
    return found


def completions(episode: Episode) -> list[Thought | Turn]:
    return [part for turn in episode.turns for part in turn.completions]


def test_a_growing_conversation_is_one_row(make_episode: EpisodeMaker) -> None:
    episode = make_episode(0, 5)
    (row,) = pack([episode])
    assert row.ids.tolist() == contexts(episode)[-1]
    sampled = [token for turn in episode.turns for token in turn.completion_ids.tolist()]
    assert row.ids[row.target].tolist() == sampled
    logprobs_N = np.concatenate([turn.logprobs for turn in episode.turns])
    np.testing.assert_array_equal(TokenTable.from_episodes([episode]).sampler_logp_N[row.token], logprobs_N)


def test_a_cut_context_is_a_branch(make_episode: EpisodeMaker) -> None:
    first, second = make_episode(1, 3, window=True), make_episode(2, 2)
    rows = pack([first, second])
    assert [sorted(set(row.turn.tolist())) for row in rows] == [[0, 1, 2], [3, 4]]
    for row, episode in zip(rows, (first, second), strict=True):
        ends = [int(row.target[row.turn == turn].max()) for turn in sorted(set(row.turn.tolist()))]
        assert [path_to(row, end) for end in ends] == contexts(episode)
    opening = 2  # what every turn of the windowed episode keeps
    assert len(rows[0].ids) == sum(map(len, contexts(first))) - 2 * opening


def test_the_thoughts_of_a_decision_are_trained_with_it(make_episode: EpisodeMaker) -> None:
    plain, thoughtful = make_episode(1, 2), make_episode(2, 3, thoughts=2)
    rows, tokens = pack([plain, thoughtful]), TokenTable.from_episodes([plain, thoughtful])
    table = TurnTable.from_episodes([plain, thoughtful])
    parts = completions(thoughtful)
    assert len(parts) == 9
    assert table.tokens_R.tolist() == np.bincount(tokens.turn_N).tolist()
    assert table.tokens_R[2:].sum() == sum(len(part.completion_ids) for part in parts)
    ids = np.concatenate([part.completion_ids for part in parts])
    np.testing.assert_array_equal(rows[1].ids[rows[1].target], ids)
    logprobs_N = np.concatenate([part.logprobs for part in parts])
    np.testing.assert_array_equal(tokens.sampler_logp_N[rows[1].token], logprobs_N)
    ends = np.cumsum([len(part.completion_ids) for part in parts]) - 1
    assert [path_to(rows[1], int(rows[1].target[end])) for end in ends] == contexts(thoughtful)
    assert tokens.position_N[tokens.turn_N == 3].tolist() == list(range(table.tokens_R[3]))


def path_to(row: Row, token: int) -> list[int]:
    """The ids from the beginning to a token of a row."""
    path: list[int] = []
    while token >= 0:
        path.insert(0, int(row.ids[token]))
        token = int(row.parent[token])
    return path


OBJECTIVES: dict[str, tuple[Regulariser, ...]] = {"plain": (), "with KL": (Kl(coefficient=0.1),)}


@pytest.mark.parametrize("regularisers", OBJECTIVES.values(), ids=OBJECTIVES.keys())
@pytest.mark.parametrize("shape", [{}, {"window": True}, {"thoughts": 2}], ids=str)
@pytest.mark.parametrize("tokens", [32, 10_000])
def test_gradients_equal_those_of_one_sample_per_turn(
    model: PreTrainedModel,
    make_episode: EpisodeMaker,
    regularisers: tuple[Regulariser, ...],
    shape: dict[str, Any],
    tokens: int,
) -> None:
    episodes = [make_episode(n, 2 + n, score=float(n % 2), **shape) for n in range(4)]
    turns = TurnTable.from_episodes(episodes)
    advantage_R = GroupMean()(turns)
    objective = Objective(regularisers=regularisers, temperature=0.8)
    reference = copy.deepcopy(model).requires_grad_(False)
    expected = one_sample_per_turn(copy.deepcopy(model), reference, episodes, advantage_R, objective)
    found = packed(model, reference, episodes, turns, advantage_R, objective, tokens)
    for name, gradient in expected.items():
        scale = float(gradient.abs().max())
        assert float((found[name] - gradient).abs().max()) <= 1e-5 * max(scale, 1e-3), name


def packed(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    episodes: list[Episode],
    turns: TurnTable,
    advantage_R: Values,
    objective: Objective,
    tokens: int,
) -> dict[str, Tensor]:
    learner = Learner(
        model,
        OptimiserSection(lr=1e-9, grad_clip=1e9),
        Update(objective),
        tokens_per_microbatch=tokens,
        reference=reference,
    )
    learner.learn(episodes, turns, advantage_R)
    return {name: cast("Tensor", weight.grad) for name, weight in model.named_parameters()}


def one_sample_per_turn(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    episodes: list[Episode],
    advantage_R: Values,
    objective: Objective,
) -> dict[str, Tensor]:
    """The plain way: a forward over each turn's whole context, with transformers' own attention."""
    total = sum(episode.sampled_tokens for episode in episodes)
    values = iter(advantage_R.tolist())
    for episode in episodes:
        whole = iter(contexts(episode))
        for turn in episode.turns:
            advantage = next(values)
            for part in turn.completions:
                ids, count = next(whole), len(part.completion_ids)
                logp, reference_logp = (
                    logprobs(m, ids, count, objective.temperature) for m in (model, reference)
                )
                batch = TokenBatch(
                    logp,
                    torch.from_numpy(part.logprobs),
                    torch.full((count,), advantage),
                    torch.zeros(count, dtype=torch.long),
                    reference_logp_N=reference_logp.detach(),
                )
                (objective(batch).loss_N.sum() / total).backward()
    return {name: cast("Tensor", weight.grad) for name, weight in model.named_parameters()}


def logprobs(model: PreTrainedModel, ids: list[int], count: int, temperature: float) -> Tensor:
    logits: Tensor = model(torch.tensor([ids])).logits[0]
    chosen = torch.tensor(ids[-count:])
    all_logp = (logits[-count - 1 : -1] / temperature).log_softmax(-1)
    return all_logp.gather(-1, chosen[:, None])[:, 0]


def take_step(
    model: PreTrainedModel, episodes: list[Episode], advantage_R: Values, gap_limit: float = math.inf
) -> Tally:
    turns, tokens, tally = TurnTable.from_episodes(episodes), TokenTable.from_episodes(episodes), Tally()
    optimiser_step(
        model,
        torch.optim.SGD(model.parameters(), lr=1.0),
        Batch(turns, tokens, pack(episodes), advantage_R[tokens.turn_N]),
        Step(np.arange(len(turns.turn_R))),
        Objective(gap_limit=gap_limit),
        Limits(grad_clip=math.inf, tokens_per_microbatch=10_000),
        tally,
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
