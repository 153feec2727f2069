"""Another model as the teacher: on-policy distillation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field
from torch import Tensor

from agentgym.core.errors import ConfigError
from agentgym.core.trace import Episode, Turn
from agentgym.policies.models import LoadedModel
from agentgym.policies.rendering import ChatRenderer, Exchange
from agentgym.training.conversations import conversations, ended
from agentgym.training.packing import MicroBatch
from agentgym.training.teachers.base import Lesson, Surroundings, Teacher, Tutor
from agentgym.training.teachers.reading import Reading
from agentgym.training.tokens import Floats, TokenTable


class ModelTeacher(Teacher, name="model"):
    """A fixed model that scores what the student samples, in the student's own contexts.

    Where it reads the student's tokens, each token is scored, or each distribution compared. A model with
    another tokenizer reads the conversation in its own chat form instead and scores the text of whole turns:
    the difference to the student's log-probability of the turn is then spread evenly over the turn's tokens.
    """

    path: str = Field(min_length=1)
    """A run (its newest checkpoint), a model directory, or a model of the hub."""

    def tutor(self, around: Surroundings) -> Tutor:
        """Open the model; raises `ConfigError` for an exact recipe and a model with another tokenizer."""
        loaded = around.open_model(self.path)
        loaded.model.requires_grad_(False)
        if reads_the_same(loaded, around.student):
            return _TokenTutor(loaded, around)
        if around.exact:
            raise ConfigError(
                f"teacher.path = {self.path!r} has another tokenizer than the student, so there are no two "
                "distributions over one vocabulary to compare. Use the sampled form (the recipe opd: "
                'shaping = [{name = "teacher"}] instead of the regulariser), or a teacher of the student\'s family.'
            )
        return _TextTutor(loaded, around)


def reads_the_same(teacher: LoadedModel, student: LoadedModel) -> bool:
    """Whether every token of the student's is the same token, by the same id, to the teacher."""
    ids: dict[str, int] = teacher.tokenizer.get_vocab()
    return all(ids.get(token) == index for token, index in student.tokenizer.get_vocab().items())


@dataclass(frozen=True, slots=True)
class _TokenTutor(Tutor):
    """A teacher that reads the student's tokens."""

    loaded: LoadedModel
    around: Surroundings

    def lesson(self, episodes: Sequence[Episode], tokens: TokenTable) -> Lesson:
        return Reading(self.loaded.model, episodes, np.ones(len(tokens), np.bool_), self.around)


@dataclass(frozen=True, slots=True)
class _TextTutor(Tutor):
    """A teacher that reads the student's text."""

    loaded: LoadedModel
    around: Surroundings

    def lesson(self, episodes: Sequence[Episode], tokens: TokenTable) -> Lesson:
        renderer = ChatRenderer(self.loaded.tokenizer)
        read = [_read_by(renderer, episode, self.around) for episode in episodes]
        table = TokenTable.from_episodes(read)
        own = Reading(self.loaded.model, read, np.ones(len(table), np.bool_), self.around)
        return _TurnLesson(own, table, tokens)


def _read_by(renderer: ChatRenderer, episode: Episode, around: Surroundings) -> Episode:
    """Return the episode in the renderer's tokens; its trained turns have all their tokens marked."""
    turns: list[Turn] = []
    previous: Exchange | None = None
    own_renderer = ChatRenderer(around.student.tokenizer)
    for turn, asked in zip(episode.turns, conversations(episode, around.history), strict=True):
        context = renderer.context(asked.messages, (), previous)
        closed = ended(turn, asked.answer, own_renderer)
        spoken = (
            renderer.dictated_ids(asked.answer.content) if closed else renderer.encode(asked.answer.content)
        )
        turns.append(
            replace(
                turn,
                prompt_start=context.prompt_start,
                prompt_ids=np.array(context.prompt_ids, np.int32),
                completion_ids=np.array(spoken, np.int32),
                logprobs=np.zeros(len(spoken), np.float32),
                loss_mask=np.full(len(spoken), turn.loss_mask.any(), np.int8),
            )
        )
        kept: Sequence[int] = () if previous is None else previous.ids[: context.prompt_start]
        ids = [*kept, *context.prompt_ids, *spoken]
        previous = Exchange(tuple(asked.messages), context.text, ids, asked.answer.content, closed)
    return replace(episode, turns=tuple(turns))


@dataclass(frozen=True, slots=True)
class _TurnLesson(Lesson):
    """Whole turns scored in the teacher's tokens."""

    own: Reading
    own_tokens: TokenTable
    tokens: TokenTable

    def logp(self) -> Floats:
        """Return the student's log-probabilities, shifted so that each turn's sum is the teacher's."""
        turns = int(max(self.own_tokens.turn_N.max(initial=-1), self.tokens.turn_N.max(initial=-1))) + 1
        teacher_R = np.bincount(self.own_tokens.turn_N, self.own.logp(), turns)
        student_R = np.bincount(self.tokens.turn_N, self.tokens.sampler_logp_N, turns)
        length_R = np.maximum(np.bincount(self.tokens.turn_N, minlength=turns), 1)
        shift_N = ((teacher_R - student_R) / length_R)[self.tokens.turn_N]
        return (self.tokens.sampler_logp_N + shift_N).astype(np.float32)

    def __call__(self, batch: MicroBatch) -> Tensor:
        """Raise: two vocabularies have no common distribution."""
        raise ConfigError(
            "A teacher with another tokenizer has no distributions over the student's vocabulary."
        )
