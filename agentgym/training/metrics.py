"""What an iteration's rollouts say about the policy, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.core.trace import Episode, Outcome
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import TurnTable, Values


def rollout_metrics(episodes: Sequence[Episode], turns: TurnTable, advantage_R: Values) -> dict[str, float]:
    """Return the metrics of scored episodes, their credit table and advantages.

    `no_signal_share` is the share of groups whose members all scored the same. Without episodes all are 0.
    """
    outcomes = [episode.outcome for episode in episodes]
    groups = int(turns.group_T.max(initial=-1)) + 1
    return {
        "success": _mean([outcome is Outcome.SUCCESS for outcome in outcomes]),
        "reward": _mean(turns.score_T),
        "turns": _mean([len(episode.turns) for episode in episodes]),
        "truncated": _mean([outcome is Outcome.TRUNCATED for outcome in outcomes]),
        "agent_error": _mean([outcome is Outcome.AGENT_ERROR for outcome in outcomes]),
        "invalid_action_share": _mean(~turns.valid_R),
        "no_signal_share": turns.groups_without_signal() / max(groups, 1),
        "advantage_abs": _mean(np.abs(advantage_R)),
        "sampled_tokens": float(turns.tokens_R.sum()),
    }


def teaching_metrics(tokens: TokenTable) -> dict[str, float]:
    """Return how the policy's own tokens please the teacher; nothing where none was asked about them.

    `teacher_kl` is the mean of log S - log T in nats, an estimate of the reverse KL per token; `teacher_share` is
    the share of the tokens that the teacher says something about.
    """
    if tokens.teacher_logp_N is None:
        return {}
    own_N = ~tokens.guided_N
    distance_N = (tokens.sampler_logp_N - tokens.teacher_logp_N)[own_N]
    told_N = np.isfinite(distance_N)
    return {"teacher_kl": _mean(distance_N[told_N]), "teacher_share": _mean(told_N)}


def _mean(values: Sequence[float] | NDArray[Any]) -> float:
    return float(np.asarray(values, np.float64).mean()) if len(values) else 0.0
