"""Context drift of recorded episodes, turn by turn; see `agentgym.policies.divergence` for what it is.

Legend: E episodes, T turns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agentgym.agents.conversation import History
from agentgym.core.trace import Episode
from agentgym.policies.divergence import DriftGauge
from agentgym.training.conversations import conversations

DRIFT_FILE = "context_drift.jsonl"
"""Of a run: the mean drift at each turn, by iteration."""


def turn_drift(gauge: DriftGauge, episode: Episode, history: History) -> list[float]:
    """Return the drift of the answer at each turn of an episode that was played with `history`, in nats per token.

    Raises `UsageError` for an episode with tool calls or several answers to a decision.
    """
    answers = zip(episode.turns, conversations(episode, history), strict=True)
    return [gauge.drift(asked.messages, turn.completion_ids.tolist()) for turn, asked in answers]


def by_turn(drift_ET: Sequence[Sequence[float]]) -> dict[str, float]:
    """Return the mean drift at each turn over the episodes that came so far.

    >>> by_turn([[0.0, 1.0, 3.0], [0.0, 2.0]])
    {'turn_00': 0.0, 'turn_01': 1.5, 'turn_02': 3.0}
    """
    longest = max(map(len, drift_ET), default=0)
    each = ([drift[turn] for drift in drift_ET if turn < len(drift)] for turn in range(longest))
    return {f"turn_{turn:02d}": float(np.mean(values)) for turn, values in enumerate(each)}


def drift_metrics(drift_ET: Sequence[Sequence[float]]) -> dict[str, float]:
    """Return `context_drift`, the mean over the turns after the first of each episode, and `context_drift_slope`: how much
    it grows from turn to turn, by least squares over all those turns. Both are 0 where there are too few."""
    drift_N = _joined([drift[1:] for drift in drift_ET])
    turn_N = _joined([range(1, len(drift)) for drift in drift_ET])
    spread = float(turn_N.var()) if len(turn_N) else 0.0
    covariance = float(((turn_N - turn_N.mean()) * drift_N).mean()) if spread else 0.0
    return {
        "context_drift": float(drift_N.mean()) if len(drift_N) else 0.0,
        "context_drift_slope": covariance / spread if spread else 0.0,
    }


def _joined(parts: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    return np.array([value for part in parts for value in part], np.float64)
