"""What an iteration's rollouts say about the policy, in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentgym.core.trace import Episode, Outcome
from agentgym.training.turns import TurnTable, Values


def rollout_metrics(episodes: Sequence[Episode], turns: TurnTable, advantage_R: Values) -> dict[str, float]:
    """Return the metrics of scored episodes, their credit table and advantages.

    `no_signal_share` is the share of groups whose members all scored the same.
    """
    outcomes = [episode.outcome for episode in episodes]
    groups = int(turns.group_T.max()) + 1
    return {
        "success": float(np.mean([outcome is Outcome.SUCCESS for outcome in outcomes])),
        "reward": float(turns.score_T.mean()),
        "turns": float(np.mean([len(episode.turns) for episode in episodes])),
        "truncated": float(np.mean([outcome is Outcome.TRUNCATED for outcome in outcomes])),
        "agent_error": float(np.mean([outcome is Outcome.AGENT_ERROR for outcome in outcomes])),
        "invalid_action_share": float((~turns.valid_R).mean()) if len(turns.valid_R) else 0.0,
        "no_signal_share": turns.groups_without_signal() / groups,
        "advantage_abs": float(np.abs(advantage_R).mean()) if len(advantage_R) else 0.0,
        "sampled_tokens": float(turns.tokens_R.sum()),
    }
