"""verl's group advantages: per row for most, per token for REINFORCE++."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from agentgym.training.advantages.base import Advantage
from agentgym.training.advantages.group import GroupMean, LeaveOneOut, LengthWeighted
from agentgym.training.shaping.base import Progress, Shaping
from agentgym.training.shaping.returns import TokenReturns, Whiten
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import TurnTable, Values
from tests.golden.cases import Inputs
from tests.golden.compare import Found, kind
from tests.golden.tables import Credit, mask_of, padded

ADVANTAGES: dict[str, Advantage] = {
    "grpo": GroupMean(std=True, singleton="raw"),
    "dr_grpo": GroupMean(singleton="raw"),
    "rloo": LeaveOneOut().as_published(),
    "rloo_vectorized": LeaveOneOut(),
    "opo": LengthWeighted().as_published(),
    "grpo_vectorized": GroupMean(std=True, singleton="raw"),
    "dr_grpo_vectorized": GroupMean(singleton="raw"),
}


@kind("group_baselines")
def group_baselines(given: Inputs) -> Found:
    """What is wanted, and with which discount, is told by the keys of what is expected."""
    table = Rows(given)
    return {key: value for key in given.expected if (value := table.value(key)) is not None}


class Rows:
    """The rows of a case as trajectories: each run of trained tokens is a turn, the gaps are observations."""

    def __init__(self, given: Inputs) -> None:
        self.mask_BL = mask_of(given["response_mask"])
        reward_BL = np.array(given["token_level_rewards"], np.float64)
        score_B = given.get("reward", reward_BL.sum(1))
        runs = [(row, *run) for row in range(len(reward_BL)) for run in self._runs(row)]
        inside = [cut for run in runs for cut in rewarded_inside(reward_BL, *run)]
        self.one_reward_per_turn = not inside
        if inside:
            assert len(runs) == len(reward_BL), (
                "tokens inside a turn are rewarded, and rows have several turns"
            )
            runs = [turn for run in runs for turn in split(reward_BL, *run)]
        lengths = [end - start for _, start, end in runs]
        self.turns: TurnTable = Credit.of(
            [given["group"][row] for row, _, _ in runs],
            [str(row) for row, _, _ in runs],
            [float(reward_BL[row, start:end].sum()) for row, start, end in runs],
            score=[float(score_B[row]) for row, _, _ in runs],
            tokens_R=lengths,
        ).turns
        self.tokens = TokenTable(
            turn_N=np.repeat(np.arange(len(runs)), lengths),
            position_N=np.concatenate([np.arange(length) for length in lengths]),
            sampler_logp_N=np.zeros(sum(lengths), np.float32),
            guided_N=np.zeros(sum(lengths), np.bool_),
        )

    def _runs(self, row: int) -> list[tuple[int, int]]:
        """Start and end of each run of trained tokens; of a row without any, an empty one."""
        mask = self.mask_BL[row].int().numpy()
        edges: list[int] = np.flatnonzero(np.diff(mask, prepend=0, append=0)).tolist()
        return list(zip(edges[::2], edges[1::2], strict=True)) or [(0, 0)]

    def value(self, key: str) -> Any:
        """Return what a key of the case means: one value per row, or per token where it says `full` or `gamma`."""
        name = key.removesuffix("_full")
        gamma = re.search(r"gamma([\d.]+)$", key)
        if name in ADVANTAGES:
            value_R = ADVANTAGES[name](self.turns)
            return self._padded(value_R[self.tokens.turn_N]) if name != key else self._rows(value_R)
        if name == "reinforce_pp_baseline":
            value_N = self._shaped(Whiten(), ADVANTAGES["dr_grpo"](self.turns)[self.tokens.turn_N])
            return self._padded(value_N) if name != key else self._rows_of_tokens(value_N)
        if key.startswith("reinforce_pp") and gamma:
            returns = TokenReturns(gamma=float(gamma[1]))
            # Without gaps both forms are the same, and only ours knows turns of several rewards.
            returns = returns.as_published() if self.one_reward_per_turn else returns
            value_N = self._shaped(returns, np.zeros(len(self.tokens)))
            return self._padded(value_N if "_returns" in key else self._shaped(Whiten(), value_N))
        return None

    def _shaped(self, part: Shaping, value_N: Values) -> Values:
        return part(value_N, self.tokens, self.turns, Progress(0, 1))

    def _rows(self, value_R: Values) -> Values:
        return value_R[self.turns.turn_R == 0]

    def _rows_of_tokens(self, value_N: Values) -> Values:
        """Return the value of each row's first token; 0 for one without tokens."""
        return self._padded(value_N).numpy()[
            np.arange(len(self.mask_BL)), self.mask_BL.int().argmax(1).numpy()
        ]

    def _padded(self, value_N: Values) -> Tensor:
        return padded(value_N, self.mask_BL)


def rewarded_inside(reward_BL: Values, row: int, start: int, end: int) -> list[int]:
    """Return the places after rewarded tokens that are not the last of a run."""
    return [at + 1 for at in range(start, end - 1) if reward_BL[row, at]]


def split(reward_BL: Values, row: int, start: int, end: int) -> list[tuple[int, int, int]]:
    """Return a run as turns of one reward each."""
    cuts = [start, *rewarded_inside(reward_BL, row, start, end), end]
    return [(row, *span) for span in pairwise(cuts)]
