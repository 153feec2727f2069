"""Shaping of what branches share with their trunk."""

from __future__ import annotations

from agentgym.training.shaping.base import Progress, Shaping
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import TurnTable, Values


class SoftAttribution(Shaping, name="soft_attribution"):
    """ARPO's soft attribution (arXiv 2507.19849, section 3.2): a token that several branches share counts once for
    each, as if every one of them were trained on by itself.

    It is trained on once, with the mean advantage of the branches (which alone is the paper's hard attribution)
    times their number. That is the same gradient as long as no ratio is clipped.
    """

    def __call__(
        self, advantage_N: Values, tokens: TokenTable, turns: TurnTable, progress: Progress
    ) -> Values:
        """Return the advantage of each token times the number of branches through its turn, shape (N,)."""
        return advantage_N * turns.branches_R[tokens.turn_N]
