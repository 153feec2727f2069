"""The kind "critic", and what a critic learns from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from agentgym.training.critics.features import Features
from agentgym.training.parts import Part
from agentgym.training.turns import TurnTable


@dataclass(frozen=True, slots=True)
class Transitions:
    """Turns as transitions, one row each: only those that have an answer of their own."""

    state_RH: Tensor
    answer_RH: Tensor
    next_RH: Tensor
    """The state of the trajectory's next turn; of a last turn: anything."""
    last_R: Tensor
    """Whether the trajectory ended with the turn."""
    reward_R: Tensor
    """What was earned from this turn until the next one that has an answer."""
    return_R: Tensor
    """What was earned from this turn on."""

    @classmethod
    def of(cls, turns: TurnTable, features: Features) -> Transitions:
        """Tabulate the turns with trained tokens; an end by a limit counts as an end."""
        row_S = np.flatnonzero(turns.tokens_R > 0)
        following_S = np.append(row_S[1:], -1)
        last_S = np.append(turns.trajectory_R[row_S[1:]] != turns.trajectory_R[row_S[:-1]], True)
        return_R = turns.returns(1.0)
        reward_S = return_R[row_S] - np.where(last_S, 0.0, return_R[following_S])
        device = features.state_RH.device

        def column(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values.astype(np.float32)).to(device)

        return cls(
            state_RH=features.state_RH[row_S],
            answer_RH=features.answer_RH[row_S],
            next_RH=features.state_RH[following_S],
            last_R=torch.from_numpy(last_S).to(device),
            reward_R=column(reward_S),
            return_R=column(return_R[row_S]),
        )

    def __len__(self) -> int:
        return len(self.last_R)

    def __getitem__(self, rows: Tensor) -> Transitions:
        """Return some of the rows."""
        return Transitions(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


class Critic(Part, kind="critic"):
    """What learns how good states and answers are, beside the policy."""

    heads: ClassVar[tuple[str, ...]] = ()
    """Of "value" (of a state) and "quality" (of an answer to it)."""


class NoCritic(Critic, name="none"):
    """Nothing is learned beside the policy."""


class Learned(Critic):
    """A critic whose heads are learned."""

    hidden: int = Field(default=256, ge=1)
    """Width of the heads' one hidden layer."""
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    passes: int = Field(default=4, ge=1)
    """Passes over an iteration's turns."""
    batch: int = Field(default=256, ge=1)
    """Turns in a step of the heads."""
    ahead: int = Field(default=0, ge=0)
    """Iterations in which the critic learns alone, before the policy follows it."""
    polyak: float = Field(default=0.005, gt=0, le=1)
    """Share of the heads that the target heads take over at each step."""

    @abstractmethod
    def loss(
        self, heads: Mapping[str, nn.Module], targets: Mapping[str, nn.Module], batch: Transitions
    ) -> Tensor:
        """Return the loss of a batch of turns, with gradient for `heads`.

        `targets` are slowly following copies of the heads.
        """
