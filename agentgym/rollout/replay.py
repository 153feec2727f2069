"""Replay: a recorded episode's actions once more in its environment, which must answer as it did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gymnasium.utils.env_checker import data_equivalence

from agentgym.core.env import AgentEnv
from agentgym.core.errors import AgentGymError, EnvironmentFault
from agentgym.core.trace import Episode, Turn

SHOWN = 160
"""Characters of a long text that a difference shows."""


class Difference(NamedTuple):
    """Where a replay first parts from the record."""

    turn: int
    """Counted from 0; the number of turns: after the last one."""
    field: str
    """Of the turn, such as `observation`, or `final_observation` or `success` of the episode."""
    recorded: Any
    got: Any

    def __str__(self) -> str:
        recorded, got = repr(self.recorded), repr(self.got)
        pairs = enumerate(zip(recorded, got, strict=False))
        alike = next((place for place, (one, other) in pairs if one != other), 0)
        shown = [_around(text, alike) for text in (recorded, got)]
        return f"turn {self.turn}: {self.field} was recorded as {shown[0]}, and is {shown[1]}"


def replay(episode: Episode, env: AgentEnv) -> Difference | None:
    """Play a recorded episode's actions from its task and seed; return the first difference, or None.

    Compared are, of each turn, observation and state key before the action, reward, ends and validity after it,
    and in the end the last observation and the success of a scored episode. An answer that could not be read as an
    action makes its turn invalid whatever the environment says, so only a recorded `valid` is held against it.
    Raises `EnvironmentFault` naming the turn where the environment raises, and `TaskError` where it does not know
    the task.
    """
    observation, info = env.reset(seed=episode.seed, options={"task": episode.task})
    for position, turn in enumerate(episode.turns):
        if found := before_action(position, turn, observation, env.state_key()):
            return found
        if not env.action_space.contains(turn.action):
            break  # the environment was never given it: the agent's failure ended the episode
        try:
            observation, reward, terminated, truncated, info = env.step(turn.action)
        except AgentGymError:
            raise
        except Exception as error:
            raise EnvironmentFault(f"Turn {position}: {turn.action!r:.200} raised {error!r}.") from error
        if found := after_action(position, turn, reward, terminated, truncated, info):
            return found
    if not episode.outcome.scored:
        return None
    return _first(
        len(episode.turns),
        final_observation=(episode.final_observation, observation),
        success=(episode.success, bool(info.get("success", False))),
    )


def before_action(position: int, turn: Turn, observation: Any, state_key: str) -> Difference | None:
    """Return the first difference between a recorded turn and the state that its action is to be taken in."""
    return _first(
        position, observation=(turn.observation, observation), state_key=(turn.state_key, state_key)
    )


def after_action(
    position: int, turn: Turn, reward: Any, terminated: Any, truncated: Any, info: Mapping[str, Any]
) -> Difference | None:
    """Return the first difference between a recorded turn and what its action has now brought."""
    return _first(
        position,
        reward=(turn.reward, float(reward)),
        terminated=(turn.terminated, bool(terminated)),
        truncated=(turn.truncated, bool(truncated)),
        valid=(turn.valid, turn.valid and bool(info.get("valid", True))),
    )


def _first(position: int, **fields: tuple[Any, Any]) -> Difference | None:
    for field, (recorded, got) in fields.items():
        if not data_equivalence(recorded, got, exact=True):
            return Difference(position, field, recorded, got)
    return None


def _around(text: str, place: int) -> str:
    """Return the part of a long text around a place."""
    if len(text) <= SHOWN:
        return text
    start = min(max(place - SHOWN // 2, 0), len(text) - SHOWN)
    end = start + SHOWN
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"
