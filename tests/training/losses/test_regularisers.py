"""Regularisers: where they pull, in closed form and through real steps."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agentgym.training.learner import Learner
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.objective import Objective
from agentgym.training.losses.regularisers import Entropy
from agentgym.training.packing import pack
from agentgym.training.recipe import OptimiserSection
from agentgym.training.scoring import entropy_of
from agentgym.training.turns import TurnTable
from agentgym.training.update import Update
from tests.golden.toy import ToyPolicy, toy_episode


@given(st.lists(st.floats(-4, 4, width=32), min_size=2, max_size=6))
def test_the_gradient_of_entropy_is_the_closed_form(logits: list[float]) -> None:
    """d(-H) / d logit_v = p_v (log p_v + H)."""
    logits_NV = torch.tensor([logits]).requires_grad_()
    logp_NV = logits_NV.log_softmax(-1)
    zero_N = torch.zeros(1)
    batch = TokenBatch(zero_N, zero_N, zero_N, torch.zeros(1).long(), entropy_N=entropy_of(logp_NV))
    Entropy(coefficient=1.0)(batch).sum().backward()
    logp_V: Tensor = logp_NV.detach()[0]
    entropy = -(logp_V.exp() * logp_V).sum()
    assert logits_NV.grad is not None
    torch.testing.assert_close(logits_NV.grad[0], logp_V.exp() * (logp_V + entropy), rtol=1e-4, atol=1e-6)


def test_entropy_rises_under_its_regulariser_alone() -> None:
    played = [toy_episode(0, [[0, 1], [2, 1]], "g", 1.0)]
    table = TurnTable.from_episodes(played)
    model = ToyPolicy([[2.0, 0.0, -1.0], [1.0, 1.0, -2.0]], [0.0, 0.0, 0.0], 2)
    objective = Objective(regularisers=[Entropy(coefficient=0.5)])
    learner = Learner(model, OptimiserSection(lr=0.05), Update(objective))
    before = learner.score(model, pack(played), 4).entropy_N
    for _ in range(5):
        learner.learn(played, table, np.zeros(2))
    after = learner.score(model, pack(played), 4).entropy_N
    assert (after > before + 0.01).all()
