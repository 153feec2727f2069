"""What critics regress to: what was earned, or what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from agentgym.training.critics.base import Learned, Transitions


class MonteCarlo(Learned, name="monte_carlo"):
    """The value of a state is the mean of what was earned from it on (A-LoL, arXiv 2305.14718)."""

    heads: ClassVar[tuple[str, ...]] = ("value",)

    def loss(
        self, heads: Mapping[str, nn.Module], targets: Mapping[str, nn.Module], batch: Transitions
    ) -> Tensor:
        """Return the mean squared error of the value."""
        return (batch.return_R - heads["value"](batch.state_RH)).square().mean()


class Expectile(Learned, name="expectile"):
    """The value of a state is an expectile of the qualities of the recorded answers to it, the quality of an
    answer its reward plus the value of what it leads to (IQL, arXiv 2110.06169, eqs. 5 and 6).

    At 0.5 the value is the mean quality of the recorded policy's answers; towards 1, that of its best ones.
    """

    heads: ClassVar[tuple[str, ...]] = ("value", "quality")
    expectile: float = Field(default=0.7, gt=0, lt=1)
    gamma: float = Field(default=0.99, ge=0, le=1)

    def loss(
        self, heads: Mapping[str, nn.Module], targets: Mapping[str, nn.Module], batch: Transitions
    ) -> Tensor:
        """Return the sum of the two heads' losses; the value learns from the slow copy of the quality."""
        value_R = heads["value"](batch.state_RH)
        with torch.no_grad():
            quality_R = targets["quality"](batch.answer_RH)
            next_R = torch.where(batch.last_R, 0.0, heads["value"](batch.next_RH))
            target_R = batch.reward_R + self.gamma * next_R
        error_R = target_R - heads["quality"](batch.answer_RH)
        return expectile_loss(quality_R - value_R, self.expectile).mean() + error_R.square().mean()


def expectile_loss(error: Tensor, expectile: float) -> Tensor:
    """Return |expectile - 1(error < 0)| x error^2: its mean is least at that expectile of what is regressed to.

    >>> expectile_loss(torch.tensor([-2.0, 1.0]), 0.75)
    tensor([1.0000, 0.7500])
    """
    return torch.where(error < 0, 1.0 - expectile, expectile) * error.square()
