"""Lessons: episodes as a distiller reads them. A success is replayed without each of its actions in turn, so that what
did nothing for it is left out, and what made what possible is known: the precondition that fails, and what repairs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from agentgym.agents.follower.acts import Act, take_apart
from agentgym.agents.follower.procedure import fields_of, wish_of
from agentgym.core.env import Action, AgentEnv
from agentgym.core.memory import Source
from agentgym.core.trace import Episode

MAX_ACTIONS = 100
"""Longer successes are not replayed: it takes half as many steps as the square of their length."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an episode of the split `train` shows. Lists go by action."""

    episode: str
    """Unique over runs, as in `Source`."""
    task_key: str
    env_id: str
    wish: str
    """The line that says what is wanted."""
    success: bool
    acts: tuple[Act, ...]
    """What the world took, in order."""
    told: tuple[Mapping[str, str], ...]
    """The fields that it told after each."""
    texts: tuple[str, ...]
    """What it said after each."""
    shown: tuple[str, ...] = ()
    """Versions of memory items that the episode was shown."""
    needed: tuple[int, ...] = ()
    """Places in `acts` of what the success cannot do without; empty for failures."""
    enables: Mapping[int, int] = field(default_factory=dict[int, int])
    """By place, the place of the first action that the world would not take without it."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data; `from_json` gives back the same."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Lesson:
        """Read what `to_json` wrote."""
        acts = tuple(Act(*(tuple(part) for part in act)) for act in data["acts"])
        enables = {int(place): made for place, made in data["enables"].items()}
        lists = {name: tuple(data[name]) for name in ("told", "texts", "shown", "needed")}
        fields: dict[str, Any] = {**data, **lists, "acts": acts, "enables": enables}
        return cls(**fields)


class _Replay(NamedTuple):
    success: bool
    valid: list[bool]


class Replayer:
    """Plays variations of episodes in an environment of its own."""

    def __init__(self, make_env: Callable[[], AgentEnv]) -> None:
        self._env = make_env()

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    def lesson(self, episode: Episode, run: str = "") -> Lesson:
        """Return what an episode shows; a success that does not come about again is taken as it is.

        Raises `LeakError` for a task that agents are evaluated on.
        """
        source = Source.of(episode, run)
        after = [turn.observation for turn in episode.turns[1:]] + [episode.final_observation]
        taken = [
            (turn.action, _text(observation))
            for turn, observation in zip(episode.turns, after, strict=True)
            if turn.valid
        ]
        actions = [action for action, _ in taken]
        wish = wish_of(_text(episode.turns[0].observation) if episode.turns else "")
        needed: list[int] = []
        enables: dict[int, int] = {}
        acts = tuple(map(take_apart, actions))
        told = tuple(_fields(text) for _, text in taken)
        if episode.success:
            needed, enables = self._necessary(episode, actions, lambda kept: _sources(wish, acts, told, kept))
        return Lesson(
            source.episode,
            source.task_key,
            episode.task.env_id,
            wish,
            episode.success,
            acts,
            told,
            tuple(text for _, text in taken),
            tuple(sorted({version for turn in episode.turns for version in turn.shown_items})),
            tuple(needed),
            enables,
        )

    def _necessary(
        self,
        episode: Episode,
        actions: Sequence[Action],
        sources: Callable[[Sequence[int]], set[int]],
    ) -> tuple[list[int], dict[int, int]]:
        kept = list(range(len(actions)))
        if len(actions) > MAX_ACTIONS or not self._play(episode, actions).success:
            return kept, {}
        before: list[int] = []
        while before != kept:  # what only undid something can go once that is gone
            before = kept
            for place in reversed(before):
                without = [each for each in kept if each != place]
                told = place in sources(kept)
                if not told and self._play(episode, [actions[each] for each in without]).success:
                    kept = without
        enables: dict[int, int] = {}
        for place in kept:
            without = [each for each in kept if each != place]
            valid = self._play(episode, [actions[each] for each in without]).valid
            if False in valid:
                enables[place] = without[valid.index(False)]
        return kept, enables

    def _play(self, episode: Episode, actions: Sequence[Action]) -> _Replay:
        self._env.reset(seed=episode.seed, options={"task": episode.task})
        valid: list[bool] = []
        for action in actions:
            _, _, terminated, truncated, info = self._env.step(action)
            valid.append(bool(info.get("valid", True)))
            if terminated or truncated:
                return _Replay(bool(info.get("success")), valid)
        return _Replay(False, valid)


def _sources(
    wish: str, acts: Sequence[Act], told: Sequence[Mapping[str, str]], kept: Sequence[int]
) -> set[int]:
    """Return the places that tell a value which a later kept call has from nowhere else: by heart it is not known."""
    found: set[int] = set()
    for later in kept:
        for value in acts[later].values if acts[later].is_call else ():
            tellers = [place for place in kept if place < later and value in told[place].values()]
            if value and value not in wish and len(tellers) == 1:
                found.add(tellers[0])
    return found


def _fields(text: str) -> dict[str, str]:
    try:
        return dict(fields_of(json.loads(text)))
    except (ValueError, RecursionError):
        return {}


def _text(observation: Any) -> str:
    return observation if isinstance(observation, str) else observation["text"]
