"""The replay buffer: what was seen to happen in the environment, which models answer from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from agentgym.core.errors import LeakError, UsageError
from agentgym.core.task import Split
from agentgym.core.trace import Episode
from agentgym.memory.retrieval.fusion import top
from agentgym.memory.retrieval.ngrams import Ngrams
from agentgym.memory.retrieval.words import Corpus
from agentgym.training.imagination.model import Consequence, Moment, Step


@dataclass(frozen=True, slots=True)
class Transition:
    """A moment of an episode, and what came of it."""

    moment: Moment
    consequence: Consequence


class ReplayBuffer:
    """Transitions of train tasks in the order in which they were added."""

    def __init__(self) -> None:
        self.transitions: list[Transition] = []
        self.ways: dict[str, list[tuple[Transition, ...]]] = {}
        """Whole episodes by the key of their task."""
        self._index: Ngrams | None = None

    def __len__(self) -> int:
        return len(self.transitions)

    def add(self, episodes: Iterable[Episode]) -> None:
        """Add what happened in episodes.

        Episodes without a score are left out, as are those of a model: it would learn from itself. Raises `LeakError`
        for a task that agents are evaluated on.
        """
        for episode in episodes:
            if episode.task.split is not Split.TRAIN:
                raise LeakError(
                    f"Episode {episode.id!r} plays a task of the split {episode.task.split.value!r}: what agents are "
                    "evaluated on may not enter a model to learn in. Give it episodes of the split 'train'."
                )
            if episode.task.imagined or not episode.outcome.scored:
                continue
            way = tuple(transitions(episode))
            self.ways.setdefault(episode.task.key, []).append(way)
            self.transitions += way
        self._index = None

    def similar(self, moment: Moment, k: int) -> list[Transition]:
        """Return the `k` transitions whose observation and action are most like a moment's, the best first.

        DreamGym's TopK of cos(φ(s, a), φ(s_i, a_i)); φ counts words and parts of words.
        """
        if k < 1 or not self.transitions:
            return []
        if self._index is None:
            self._index = Ngrams(Corpus([_text(each.moment) for each in self.transitions]))
        found = top(self._index.scores(_text(moment)), k)
        return [self.transitions[int(index)] for index in found]


def transitions(episode: Episode) -> Iterator[Transition]:
    """Yield the transitions of an episode. Raises `UsageError` for one whose observations are no text."""
    history: list[Step] = []
    goal = _seen(episode.turns[0].observation) if episode.turns else ""
    last = len(episode.turns) - 1
    for number, turn in enumerate(episode.turns):
        observation, action = _seen(turn.observation), str(turn.action)
        after = episode.turns[number + 1] if number < last else None
        yield Transition(
            Moment(episode.task.key, goal, turn.state_key, tuple(history), observation, action),
            Consequence(
                _seen(episode.final_observation if after is None else after.observation),
                turn.reward,
                turn.terminated,
                after is None and episode.success,
                turn.valid,
                "" if after is None else after.state_key,
            ),
        )
        history.append(Step(observation, action))


def _seen(observation: Any) -> str:
    if isinstance(observation, Mapping):
        observation = cast("Mapping[str, Any]", observation).get("text")
    if not isinstance(observation, str):
        raise UsageError(
            f"A model of an environment learns from text; got an observation of type {type(observation).__name__}."
        )
    return observation


def _text(moment: Moment) -> str:
    return f"{moment.observation} {moment.action}"
