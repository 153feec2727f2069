"""What actions did to the state of a world: an episode's actions once more, in an environment that tells its facts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from agentgym.core.env import AgentEnv
from agentgym.core.errors import EnvironmentFault, UsageError
from agentgym.core.facts import Facts, TellsFacts
from agentgym.core.trace import Episode


class Change(NamedTuple):
    """A state, an action, and the state after it."""

    before: Facts
    action: str
    after: Facts
    episode: str = ""
    """Id of the episode that it is of."""


def watch(episode: Episode, env: AgentEnv) -> list[Change]:
    """Return the changes of an episode, whose actions are done once more in `env`.

    Raises `UsageError` for an environment that does not tell its facts, or an episode that was played in a model of one;
    `EnvironmentFault` where a state is not the recorded one.
    """
    if not isinstance(env, TellsFacts):
        raise UsageError(
            f"{type(env).__name__} does not tell its state as facts, so no laws can be learned in it; it needs a "
            "method `facts` (agentgym.core.facts)."
        )
    if episode.task.imagined:
        raise UsageError(f"Episode {episode.id!r} was played in a model: it shows no law of the world.")
    env.reset(seed=episode.seed, options={"task": episode.task})
    changes: list[Change] = []
    for number, turn in enumerate(episode.turns):
        if env.state_key() != turn.state_key:
            raise EnvironmentFault(
                f"Episode {episode.id!r} is in another state at turn {number} than it was recorded in. "
                "`agentgym replay` shows the difference."
            )
        if not env.action_space.contains(turn.action):
            break
        before = env.facts()
        env.step(turn.action)
        changes.append(Change(before, str(turn.action), env.facts(), episode.id))
    return changes


def watch_all(episodes: Iterable[Episode], env: AgentEnv) -> list[Change]:
    """Return the changes of all episodes; see `watch`."""
    return [change for episode in episodes for change in watch(episode, env)]
