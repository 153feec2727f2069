"""Counterfactual values of turns: what else would have come of the states before them, by playing on from there.

Legend: T turns of an episode, N continuations of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from agentgym.core.agent import Agent
from agentgym.core.env import AgentEnv
from agentgym.core.errors import UsageError
from agentgym.core.trace import Episode
from agentgym.rollout.collect import Trails, collect
from agentgym.rollout.forks import branch
from agentgym.rollout.monitor import Monitor
from agentgym.rollout.rules import Rules

Values = NDArray[np.float64]

_BATCH = 8
"""Continuations held at once, for each in flight."""


@dataclass(frozen=True, slots=True)
class TurnValues:
    """What the states of an episode are worth to the agent, and so what each of its turns was."""

    return_TN: Values
    """Return of each continuation from the state before each turn on, discounted to there; NaN: lost to a fault."""
    reward_T: Values
    gamma: float

    def states(self, part: slice = slice(None)) -> Values:
        """Return the mean return from the state before each turn, shape (T,), over a part of the continuations."""
        found_TN = self.return_TN[:, part]
        counted_TN = ~np.isnan(found_TN)
        total_T = np.where(counted_TN, found_TN, 0.0).sum(1)
        return np.divide(
            total_T, counted_TN.sum(1), out=np.full(len(total_T), np.nan), where=counted_TN.any(1)
        )

    def turns(self, part: slice = slice(None)) -> Values:
        """Return the value of each turn, shape (T,): its reward plus what the state after it is worth, discounted,
        minus what the state before it is worth, which is what the agent's own other answers would have brought.

        Nothing can be earned after the last turn. Not a number where no continuation came to a score.
        """
        before_T = self.states(part)
        return self.reward_T + self.gamma * np.append(before_T[1:], 0.0) - before_T


async def turn_values(
    episodes: Sequence[Episode],
    agent: Agent,
    make_env: Callable[[], AgentEnv],
    *,
    n: int,
    max_turns: int,
    concurrency: int,
    gamma: float = 1.0,
    trails: Trails | None = None,
    seed: int = 0,
    rules: Rules | None = None,
    monitor: Monitor | None = None,
) -> list[TurnValues]:
    """Play every episode on from the state before each of its turns, `n` times, and return what that says of them.

    `agent` and `max_turns` are those of the episodes: a continuation has as many turns left as its episode had. With
    the episodes' `trails` the environments come back by snapshot. The standard error of a turn's value falls with
    sqrt(n). Raises `UsageError` and `NotForkableError` as `branch` does.
    """
    longest = max((len(episode.turns) for episode in episodes), default=0)
    if longest > max_turns:
        raise UsageError(
            f"An episode has {longest} turns, more than max_turns={max_turns}; give the episodes' own."
        )
    trails = trails or {}
    plans = (
        (turn, plan)
        for episode in episodes
        for turn in range(len(episode.turns))
        for plan in branch(episode, turn, n, trail=trails.get(episode.id, ()), label="value", seed=seed)
    )
    returns = np.empty(0)
    while batch := list(islice(plans, _BATCH * concurrency)):
        played = await collect(
            [plan for _, plan in batch],
            agent,
            make_env,
            concurrency=concurrency,
            max_turns=max_turns,
            rules=rules,
            monitor=monitor,
        )
        earned = [_return_from(one, turn, gamma) for one, (turn, _) in zip(played, batch, strict=True)]
        returns = np.append(returns, earned)
    rows = np.cumsum([0, *(len(episode.turns) for episode in episodes)])
    return [
        TurnValues(
            returns.reshape(-1, n)[first:last],
            np.array([turn.reward for turn in episode.turns], np.float64),
            gamma,
        )
        for episode, first, last in zip(episodes, rows, rows[1:], strict=False)
    ]


def _return_from(episode: Episode, turn: int, gamma: float) -> float:
    """Return what a continuation earned from a turn on, discounted to there."""
    if not episode.outcome.scored:
        return float("nan")
    earned = [past.reward for past in episode.turns[turn:]]
    return float(np.dot(earned, gamma ** np.arange(len(earned))))
