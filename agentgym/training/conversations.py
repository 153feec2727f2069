"""The conversations behind recorded episodes, and the same answers in another context.

A teacher may see more than the student did, and a student may be trained without what helped it when it
played. Both need the tokens of a context in which something was inserted or left out, followed by exactly
the ids that were sampled: those are never tokenised again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentgym.agents.conversation import History
from agentgym.core.errors import UsageError
from agentgym.core.message import Message
from agentgym.core.trace import Episode, Turn
from agentgym.policies.rendering import ChatRenderer, Exchange

Edit: TypeAlias = Callable[[int, list[Message]], list[Message]]
"""Given a turn's position and the messages its answer was sampled for, the messages of the other context."""


class Asked(NamedTuple):
    """What a turn's answer was sampled for."""

    messages: list[Message]
    answer: Message


def conversations(episode: Episode, history: History) -> Iterator[Asked]:
    """Yield what each turn of a chat agent's episode was sampled for.

    Raises `UsageError` for an episode whose turns kept no messages.
    """
    opening, log = list[Message](), list[Message]()
    for position, turn in enumerate(episode.turns):
        if not turn.messages_delta:
            raise UsageError(
                f"Turn {position} of episode {episode.id} kept no messages, so its context cannot be written "
                "anew; play with a chat agent."
            )
        *told, answer = turn.messages_delta
        if turn.thoughts or answer.tool_calls or any(message.role == "tool" for message in told):
            raise UsageError(
                f"Turn {position} of episode {episode.id} has tool calls or several answers, so its context cannot be "
                "written anew; play with an agent of the kind 'chat'."
            )
        (log if position else opening).extend(told)
        yield Asked([*opening, *(log if history == "full" else log[-2 * history :])], answer)
        log.append(answer)


def in_context(
    episode: Episode, renderer: ChatRenderer, history: History, edit: Edit, *, lasting: bool
) -> Episode:
    """Return the episode with each answer in the context that `edit` makes of its own.

    With `lasting` an edit stays in the conversation (it is made again at every later turn, such as one of the
    task's message); otherwise later turns follow on the episode's own context. Answers keep their ids,
    log-probabilities and masks, so the trained tokens are numbered as in `episode`.
    """
    turns: list[Turn] = []
    previous: Exchange | None = None
    own_ids = edited_ids = np.empty(0, np.int32)
    for position, (turn, asked) in enumerate(
        zip(episode.turns, conversations(episode, history), strict=True)
    ):
        messages = edit(position, asked.messages)
        context = renderer.context(messages, (), previous)
        before: Sequence[int] = () if previous is None else previous.ids[: context.prompt_start]
        context_ids = np.array([*before, *context.prompt_ids], np.int32)
        shared = _shared_prefix(edited_ids, context_ids)
        turns.append(replace(turn, prompt_start=shared, prompt_ids=context_ids[shared:]))
        edited_ids = np.concatenate([context_ids, turn.completion_ids])
        own_ids = np.concatenate([own_ids[: turn.prompt_start], turn.prompt_ids, turn.completion_ids])
        kept = messages if lasting else asked.messages
        previous = Exchange(
            tuple(kept),
            context.text if lasting else renderer.render(kept),
            (edited_ids if lasting else own_ids).tolist(),
            asked.answer.content,
            ended(turn, asked.answer, renderer),
        )
    return replace(episode, turns=tuple(turns))


def ended(turn: Turn, answer: Message, renderer: ChatRenderer) -> bool:
    """Whether the last of the sampled ids ended the turn: then it is no part of the answer's text."""
    return renderer.decode(turn.completion_ids.tolist()) != answer.content


def inserted(messages: Sequence[Message], place: int, text: str) -> list[Message]:
    """Return the messages with `text` as a paragraph at the end of the one at `place`."""
    changed = list(messages)
    changed[place] = replace(changed[place], content=f"{changed[place].content}\n\n{text}")
    return changed


def without(messages: Sequence[Message], place: int, text: str) -> list[Message]:
    """Return the messages as they were before `text` was `inserted` at `place`."""
    changed = list(messages)
    changed[place] = replace(changed[place], content=changed[place].content.replace(f"\n\n{text}", "", 1))
    return changed


def task_message(messages: Sequence[Message]) -> int:
    """Return the place of the message that tells the task: the first of the user's."""
    return next(place for place, message in enumerate(messages) if message.role == "user")


def _shared_prefix(left: NDArray[np.int32], right: NDArray[np.int32]) -> int:
    length = min(len(left), len(right))
    differing = np.flatnonzero(left[:length] != right[:length])
    return int(differing[0]) if len(differing) else length
