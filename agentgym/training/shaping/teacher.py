"""Shaping by a teacher: tokens the teacher finds likelier than the policy did are encouraged."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from agentgym.training.shaping.base import Progress, Shaping
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import TurnTable, Values


class TeacherAdvantage(Shaping, name="teacher"):
    """On-policy distillation by policy gradient: `coefficient` x (log T - log S) of each sampled token.

    S is the policy that sampled. The expected gradient is that of the reverse KL, KL(S || T), of the next
    token; no group, no normalisation and, with `mode = "replace"`, no reward enters (TCOD,
    arXiv 2604.24005; SDPO's and OPSD's policy-gradient forms). Tokens that the teacher says nothing about, or
    that another policy produced, keep their advantage with "add" and get 0 with "replace".
    """

    coefficient: float = Field(default=1.0, ge=0)
    mode: Literal["replace", "add"] = "replace"
    """Whether what the teacher says takes the place of the advantage or is added to it."""
    clip: float = Field(default=0.0, ge=0)
    """Bound on |log T - log S| in nats, for one token at -30 outweighs a batch; 0 for none, as published."""
    needs = frozenset({"teacher"})

    def __call__(
        self, advantage_N: Values, tokens: TokenTable, turns: TurnTable, progress: Progress
    ) -> Values:
        """Return the new advantage of each token, shape (N,)."""
        if tokens.teacher_logp_N is None:
            raise ValueError("the shaping `teacher` needs the token table's `teacher_logp_N`")
        ratio_N = tokens.teacher_logp_N.astype(np.float64) - tokens.sampler_logp_N
        if self.clip:
            ratio_N = np.clip(ratio_N, -self.clip, self.clip)
        told_N = np.isfinite(ratio_N) & ~tokens.guided_N
        taught_N = np.where(told_N, self.coefficient * np.where(told_N, ratio_N, 0.0), 0.0)
        return taught_N if self.mode == "replace" else advantage_N + taught_N
