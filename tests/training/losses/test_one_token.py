"""One-token rollouts: what is drawn, and that the gradient is the reward's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.one_token import OneToken


def tokens(logp: Tensor, iteration: int = 0) -> TokenBatch:
    count = len(logp)
    return TokenBatch(
        logp,
        torch.zeros(count),
        torch.ones(count),
        torch.zeros(count).long(),
        token_N=torch.arange(count),
        iteration=iteration,
    )


def test_in_expectation_it_is_the_policy_gradient_of_the_reward() -> None:
    """For one token with three choices: the gradient of E[r], by the logits, from many draws."""
    logits = torch.tensor([0.5, -0.3, 0.1], requires_grad=True)
    expert, miss = 1, -0.1
    reward = torch.full((3,), miss)
    reward[expert] = 1.0
    (wanted,) = torch.autograd.grad(-(logits.softmax(0) * reward).sum(), logits)
    logp = logits.log_softmax(0)[expert].expand(4000)
    batch = tokens(logp)
    loss = OneToken(samples=8, miss=miss).fit(batch)(torch.zeros(4000), batch).loss_N.mean()
    (got,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(got, wanted, atol=0.01, rtol=0.0)


def test_certain_tokens_always_match_and_impossible_ones_never() -> None:
    logp = torch.tensor([0.0, -60.0], requires_grad=True)
    batch = tokens(logp)
    loss_N = OneToken(samples=4).fit(batch)(torch.zeros(2), batch).loss_N
    loss_N.sum().backward()
    assert logp.grad is not None
    assert logp.grad.tolist() == [-1.0, 0.0]


def test_a_micro_batch_has_the_draws_of_its_tokens() -> None:
    batch = tokens(torch.full((50,), -0.7))
    fitted = OneToken(samples=2).fit(batch)
    whole = fitted(torch.zeros(50), batch).loss_N
    part = fitted(torch.zeros(20), replace(tokens(batch.logp_N[30:]), token_N=torch.arange(30, 50))).loss_N
    torch.testing.assert_close(part, whole[30:])
    again = OneToken(samples=2).fit(tokens(batch.logp_N, iteration=1))(torch.zeros(50), batch).loss_N
    assert not torch.equal(again, whole)


def test_it_must_be_fitted() -> None:
    with pytest.raises(ValueError, match="must be fitted"):
        OneToken()(torch.zeros(1), tokens(torch.zeros(1)))
