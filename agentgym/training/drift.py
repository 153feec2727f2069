"""How far the policy has moved since a task was last played: what makes old evidence about the task stale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from agentgym.core.trace import Episode
from agentgym.training.learner import Learner
from agentgym.training.packing import pack
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import TurnTable, Values


def with_drift(
    turns: TurnTable, last_played: Mapping[str, str], learner: Learner, find: Callable[[str], Episode]
) -> TurnTable:
    """Return the table with `drift_T` filled.

    `last_played` names the episode of each task's last play before this batch, and `find` returns an episode
    by its id; one forward pass over those of the batch's tasks.
    """
    tasks = [task for task in dict.fromkeys(turns.task_T) if task in last_played]
    drift_E = episode_drift(learner, [find(last_played[task]) for task in tasks])
    by_task = dict(zip(tasks, drift_E.tolist(), strict=True))
    return replace(turns, drift_T=np.array([by_task.get(task, 0.0) for task in turns.task_T], np.float64))


def episode_drift(learner: Learner, episodes: Sequence[Episode]) -> Values:
    """Return, for each episode, the mean over its trained tokens of |log-probability now - when sampled|."""
    tokens = TokenTable.from_episodes(episodes)
    logp_N = learner.score(learner.model, pack(episodes), len(tokens)).logp_N
    owner_R = np.repeat(np.arange(len(episodes)), [len(episode.turns) for episode in episodes])
    owner_N = owner_R[tokens.turn_N]
    change_N = np.abs(logp_N.astype(np.float64) - tokens.sampler_logp_N)
    count_E = np.bincount(owner_N, minlength=len(episodes))
    return np.bincount(owner_N, change_N, len(episodes)) / np.maximum(count_E, 1)
