"""Guidance: what another policy did enters a group in which the policy itself always fails.

A guided trajectory takes the place of a failed one. Its tokens were not sampled by the policy, so they have a
loss of their own, in place of ratio, clip and corrections; and the part says whether it enters the statistics
of its group.

Legend: N trained tokens, R turns, T trajectories.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import fields, replace
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, StringConstraints

from agentgym.training.advantages.base import Advantage
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.clips import Clipped
from agentgym.training.parts import Part
from agentgym.training.turns import Samples, TurnTable, Values, codes

GroupStatistics = Literal["own", "all"]


class Guidance(Part, kind="guidance"):
    """Who helps a group that always fails, and how its members learn from that."""

    asks_for_expert: ClassVar[bool] = False
    """Whether solutions are taken from an expert, whom the part's `expert` names."""
    retries: ClassVar[bool] = False
    """Whether every member tries again after a critique; the second attempts join its group as guided ones."""

    @property
    @abstractmethod
    def most_replaced(self) -> int:
        """Most members of a group that are replaced; 0 where nobody helps."""

    @abstractmethod
    def loss(self, batch: TokenBatch) -> Clipped:
        """Return the loss of each token as that of a guided one, and whether it was clipped; shape (N,)."""

    @abstractmethod
    def credit(self, advantage: Advantage, turns: TurnTable, guided_T: NDArray[np.bool_]) -> Values:
        """Return the advantage of each turn, shape (R,); `guided_T` tells the trajectories of others."""


class NoGuidance(Guidance, name="none"):
    """Groups that always fail stay as they are."""

    @property
    def most_replaced(self) -> int:
        """Return 0."""
        return 0

    def loss(self, batch: TokenBatch) -> Clipped:
        """Return 0: there is no guided token."""
        return Clipped(torch.zeros_like(batch.logp_N), torch.zeros_like(batch.logp_N, dtype=torch.bool))

    def credit(self, advantage: Advantage, turns: TurnTable, guided_T: NDArray[np.bool_]) -> Values:
        """Return the advantage of each turn, shape (R,)."""
        return advantage(turns)


class Helped(Guidance):
    """Guidance by replacement of failed members."""

    members: int = Field(default=1, ge=1)
    """Most members of a group that are replaced; one of the policy's own always stays."""
    statistics: GroupStatistics = "own"
    """`own`: the group's baseline is over the policy's own members, which then learn nothing where all of
    them scored the same. `all`: guided members count in it like the others."""

    @property
    def most_replaced(self) -> int:
        """`members`."""
        return self.members

    def credit(self, advantage: Advantage, turns: TurnTable, guided_T: NDArray[np.bool_]) -> Values:
        """Return the advantage of each turn, shape (R,); `guided_T` tells the trajectories of others.

        With `own` statistics, a guided trajectory has its score minus the mean of the group's own members,
        divided by their deviation where they have one.
        """
        if self.statistics == "all" or not guided_T.any():
            return advantage(turns)
        own_T = ~guided_T
        own = Samples.of(turns.score_T[own_T], turns.group_T[own_T])
        scale_G = np.where(own.constant_G, 1.0, own.deviation())
        group_T = turns.group_T
        guided_value_T = (turns.score_T - own.mean_G[group_T]) / scale_G[group_T]
        advantage_R = guided_value_T[turns.trajectory_R]
        advantage_R[own_T[turns.trajectory_R]] = advantage(only(turns, own_T))
        return advantage_R


class TeacherGuidance(Helped, name="teacher"):
    """AMPO: teachers play the task, and of what succeeds the policy learns what it finds most probable.

    The loss of a guided token is -A f(p) with f = p / (p + `offset`), unclipped: its gradient does not vanish
    where the policy finds the teacher's token improbable.
    """

    teachers: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(min_length=1)
    """Directories of runs or models, or hub names."""
    candidates: int = Field(default=1, ge=1)
    """Rollouts of each teacher to choose from."""
    offset: float = Field(default=0.1, gt=0)

    def loss(self, batch: TokenBatch) -> Clipped:
        """Return -A p / (p + offset) for each token; nothing is clipped."""
        probability_N = batch.logp_N.exp()
        loss_N = -batch.advantage_N * probability_N / (probability_N + self.offset)
        return Clipped(loss_N, torch.zeros_like(loss_N, dtype=torch.bool))


class ExpertGuidance(Helped, name="expert"):
    """BEPA: the policy's own newest success on the task, or else an expert's solution.

    The loss of a guided token is -A min(r, `most`) with r its probability now over its probability when it
    was produced: 1 for an expert's, whose own is not known.
    """

    expert: str = "oracle"
    """Where the policy never succeeded: `oracle`, the environment's own, or the directory of a run whose
    solved train tasks are shown. Empty: nobody."""
    most: float = Field(default=1.2, ge=1)
    statistics: GroupStatistics = "all"
    asks_for_expert = True
    remembers = True

    @property
    def newest(self) -> dict[str, str]:
        """The id of the newest episode in which the policy solved a task, by task id."""
        return self.memory.setdefault("newest", {})

    def loss(self, batch: TokenBatch) -> Clipped:
        """Return -A min(r, most) for each token; where the minimum is `most` there is no gradient."""
        log_ratio_N = batch.logp_N - batch.need("sampler_logp_N")
        ratio_N = log_ratio_N.clamp(-20.0, 20.0).exp()
        return Clipped(-batch.advantage_N * ratio_N.clamp(max=self.most), ratio_N.detach() > self.most)


def only(turns: TurnTable, chosen_T: NDArray[np.bool_]) -> TurnTable:
    """Return the table of some of the trajectories."""
    chosen_R = chosen_T[turns.trajectory_R]
    columns: dict[str, Any] = {
        column.name: _chosen(
            getattr(turns, column.name), chosen_R if column.name.endswith("_R") else chosen_T
        )
        for column in fields(turns)
    }
    cut = replace(turns, **columns)
    return replace(
        cut,
        trajectory_R=codes(cut.trajectory_R.tolist()),
        state_R=codes(cut.state_R.tolist()),
        group_T=codes(cut.group_T.tolist()),
        decision_R=None if cut.decision_R is None else codes(cut.decision_R.tolist()),
    )


def _chosen(column: Any, chosen: NDArray[np.bool_]) -> Any:
    if isinstance(column, np.ndarray):
        return cast("NDArray[Any]", column)[chosen]
    if column is None or len(column) == 0:
        return column
    return [value for value, wanted in zip(column, chosen, strict=True) if wanted]
