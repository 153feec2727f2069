"""Training from recorded episodes: which of them an iteration learns from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.task import Split
from agentgym.core.trace import Episode, Turn
from agentgym.policies.tokenizer import load_tokenizer
from agentgym.store.store import Store
from agentgym.training.data import Recorded
from agentgym.training.experience import Experience, Keep
from agentgym.training.recipe import Recipe
from agentgym.training.recording import find_recording
from agentgym.training.task_sampling import shuffled


class RecordedEpisodes:
    """The recorded groups of a run, in the order in which a recipe's iterations learn from them."""

    def __init__(self, recipe: Recipe) -> None:
        """Look through the recording; raises `UsageError` where it holds an episode that was played on held-out
        or select tasks, and `ConfigError` where it holds nothing."""
        data = recipe.data
        if not isinstance(data, Recorded):
            raise UsageError(f"The recipe {recipe.name!r} has no recorded data, but {data.name!r}.")
        self._recipe = recipe
        self._recording = find_recording(data)
        with Store(self._recording.store, create=False) as store:
            rows = store.episode_rows(self._recording.run, phase="train")
        evaluated = [row for row in rows if row.split != Split.TRAIN.value]
        if evaluated:
            raise UsageError(
                f"The recording {data.path} has episodes on {evaluated[0].split} tasks, such as "
                f"{evaluated[0].id!r}: learning from what is evaluated would mislead. Record train tasks only."
            )
        last = data.last if data.last is not None else max((row.iteration for row in rows), default=-1)
        wanted = (row.group_id for row in rows if data.first <= row.iteration <= last)
        self._groups = list(dict.fromkeys(wanted))
        if not self._groups:
            raise ConfigError(
                f"The recording {data.path} has no episodes of iterations {data.first} to {last}; "
                "change data.first and data.last."
            )

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self._groups)

    def must_match(self, model: str) -> None:
        """Refuse a model, a directory or hub name, to which the recorded token ids mean something else."""
        recording = self._recording
        if not recording.model.is_dir():
            return
        recorded: Any = load_tokenizer(recording.model)
        own: Any = load_tokenizer(model) if model else None
        if own is None or recorded.get_vocab() != own.get_vocab():
            raise ConfigError(
                f"The episodes of {recording.run} were recorded with another tokenizer than that of the model "
                f"{model or 'from scratch'!r}; start from theirs: --set model.path={recording.model}."
            )

    def play(self, iteration: int, keep: Keep) -> Experience:
        """Return the groups of an iteration, a function of recording, recipe and iteration.

        Nothing is played, so `keep` is not called. The policy versions are those of another run: unknown.
        """
        count = min(self._recipe.rollout.tasks, len(self))
        chosen = shuffled(self._groups, iteration * count, count, self._recipe.seed)
        with Store(self._recording.store, create=False) as store:
            found = [
                _of_unknown_version(episode)
                for group in dict.fromkeys(chosen)  # the end of one pass may meet itself in the next
                for episode in store.episodes(self._recording.run, group_id=group, phase="train")
            ]
        return Experience(found)


def _of_unknown_version(episode: Episode) -> Episode:
    return replace(episode, turns=tuple(map(_turn_of_unknown_version, episode.turns)))


def _turn_of_unknown_version(turn: Turn) -> Turn:
    thoughts = tuple(replace(thought, policy_version=-1) for thought in turn.thoughts)
    return replace(turn, policy_version=-1, thoughts=thoughts)
