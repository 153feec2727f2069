"""The token table: what credit and loss need to know of a batch's trained tokens, one entry per token.

Legend: N trained tokens of all episodes of a batch, in the order of their turns; R turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentgym.core.trace import Episode
from agentgym.training.turns import Indices

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TokenTable:
    """One entry per trained token. The optional columns are there where a part of the recipe asks for them."""

    turn_N: Indices
    """Row of the credit table (`TurnTable`) each token belongs to."""
    position_N: Indices
    """Place among the trained tokens of its turn, from 0."""
    sampler_logp_N: Floats
    """As the policy that sampled the token reported it."""
    guided_N: NDArray[np.bool_]
    """Where another policy (a teacher, an expert) produced the token."""
    proximal_logp_N: Floats | None = None
    """Under the policy the ratio is taken to; None: the sampler's."""
    entropy_N: Floats | None = None
    """Of the policy's distribution before the update, in nats."""
    reference_logp_N: Floats | None = None
    teacher_logp_N: Floats | None = None
    version_N: Indices | None = None
    """Iteration whose policy sampled the token; -1: unknown."""

    @classmethod
    def from_episodes(cls, episodes: Sequence[Episode], guided: Sequence[bool] | None = None) -> TokenTable:
        """Tabulate the trained tokens of episodes; `guided` tells whose they are not the policy's own."""
        turns = [turn for episode in episodes for turn in episode.turns]
        parts = [part for turn in turns for part in turn.completions]
        masks = [np.flatnonzero(part.loss_mask) for part in parts]
        logps = [part.logprobs[mask] for part, mask in zip(parts, masks, strict=True)]
        length_R = np.array([turn.trained_tokens for turn in turns], np.int64)
        flags = [False] * len(episodes) if guided is None else list(guided)
        guided_R = np.repeat(np.array(flags, np.bool_), [len(episode.turns) for episode in episodes])
        versions = np.array([part.policy_version for part in parts], np.int64)
        return cls(
            turn_N=np.repeat(np.arange(len(turns)), length_R),
            position_N=_joined([np.arange(turn.trained_tokens) for turn in turns], np.int64),
            sampler_logp_N=_joined(logps, np.float32),
            guided_N=np.repeat(guided_R, length_R),
            version_N=np.repeat(versions, [len(mask) for mask in masks]),
        )

    def __len__(self) -> int:
        return len(self.turn_N)

    def staleness(self, iteration: int) -> Indices:
        """Return how many iterations before this one each token was sampled, shape (N,); 0 where unknown."""
        if self.version_N is None:
            return np.zeros(len(self), np.int64)
        return np.where(self.version_N < 0, 0, np.maximum(iteration - self.version_N, 0))

    @property
    def old_logp_N(self) -> Floats:
        """The ratio's denominator."""
        return self.sampler_logp_N if self.proximal_logp_N is None else self.proximal_logp_N


def _joined(parts: Sequence[NDArray[Any]], dtype: type[Any]) -> NDArray[Any]:
    return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype)
