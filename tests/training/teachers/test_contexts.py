"""The same answers in another context: exact ids, one numbering, and nothing changed where nothing is."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from agentgym.agents.conversation import History
from agentgym.core.errors import UsageError
from agentgym.core.message import Message
from agentgym.core.trace import Episode
from agentgym.policies.models import LoadedModel
from agentgym.policies.rendering import ChatRenderer
from agentgym.training.conversations import conversations, in_context, inserted, task_message
from agentgym.training.packing import pack
from tests.training.teachers.conftest import Player


def contexts(episode: Episode) -> list[list[int]]:
    """Return the whole context of each turn, as ids."""
    found: list[list[int]] = []
    before: list[int] = []
    for turn in episode.turns:
        context = [*before[: turn.prompt_start], *turn.prompt_ids.tolist()]
        found.append(context)
        before = [*context, *turn.completion_ids.tolist()]
    return found


def with_hint(place: Literal["task", "turn"], messages: list[Message]) -> list[Message]:
    return inserted(messages, task_message(messages) if place == "task" else -1, "A hint.")


@pytest.mark.parametrize("history", ["full", 1])
@pytest.mark.parametrize("lasting", [True, False])
def test_without_a_change_the_contexts_are_the_recorded_ones(
    student: LoadedModel, play: Player, history: History, lasting: bool
) -> None:
    renderer = ChatRenderer(student.tokenizer)
    for episode in play(student, history):
        again = in_context(episode, renderer, history, lambda _, messages: messages, lasting=lasting)
        assert contexts(again) == contexts(episode)
        assert [turn.prompt_start for turn in again.turns] == [turn.prompt_start for turn in episode.turns]


@pytest.mark.parametrize("history", ["full", 1])
def test_a_hint_with_the_task_is_in_every_context_once(
    student: LoadedModel, play: Player, history: History
) -> None:
    renderer = ChatRenderer(student.tokenizer)
    for episode in play(student, history):
        hinted = in_context(episode, renderer, history, lambda _, m: with_hint("task", m), lasting=True)
        for ids, asked in zip(contexts(hinted), conversations(episode, history), strict=True):
            assert renderer.decode(ids) == renderer.render(with_hint("task", asked.messages))


def test_a_hint_with_the_task_leaves_one_row_in_which_sampled_ids_stay(
    student: LoadedModel, play: Player
) -> None:
    episodes = play(student)
    renderer = ChatRenderer(student.tokenizer)
    hinted = [
        in_context(episode, renderer, "full", lambda _, m: with_hint("task", m), lasting=True)
        for episode in episodes
    ]
    for row, own in zip(pack(hinted), pack(episodes), strict=True):
        assert len(row.ids) > len(own.ids)
        np.testing.assert_array_equal(row.token, own.token)
        np.testing.assert_array_equal(row.ids[row.target], own.ids[own.target])


def test_a_hint_at_a_turn_is_gone_at_the_next(student: LoadedModel, play: Player) -> None:
    renderer = ChatRenderer(student.tokenizer)
    for episode in play(student):
        hinted = in_context(episode, renderer, "full", lambda _, m: with_hint("turn", m), lasting=False)
        for ids in contexts(hinted):
            text = renderer.decode(ids)
            assert text.count("A hint.") == 1
            assert text.endswith("A hint.<|end|><|assistant|>")
        for row in pack([hinted]):  # the answers' ids, whatever rows they are in
            position = {
                int(token): int(row.ids[target]) for token, target in zip(row.token, row.target, strict=True)
            }
            own = np.concatenate([turn.completion_ids for turn in episode.turns])
            assert all(own[token] == index for token, index in position.items())


def test_turns_without_messages_are_refused(student: LoadedModel, play: Player) -> None:
    episode = play(student)[0]
    bare = replace(episode, turns=[replace(turn, messages_delta=()) for turn in episode.turns])
    with pytest.raises(UsageError, match="kept no messages"):
        list(conversations(bare, "full"))
