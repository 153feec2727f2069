"""Side tasks: what the policy learns to predict besides acting, on the same episodes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from pydantic import Field

from agentgym.agents.conversation import History
from agentgym.core.message import Message
from agentgym.core.trace import Episode, Turn
from agentgym.policies.rendering import ChatRenderer, Exchange
from agentgym.training.conversations import conversations, ended
from agentgym.training.critique import critique
from agentgym.training.packing import Row, pack
from agentgym.training.parts import Part


class SideTask(Part, kind="side_task"):
    """What the policy learns to predict besides acting: mean cross-entropy of some tokens x `weight`."""

    weight: float = Field(default=0.0, ge=0)

    @abstractmethod
    def task(self, episode: Episode, renderer: ChatRenderer, history: History) -> Episode | None:
        """Return the episode with the tokens to be predicted marked as trained, and no others; None: nothing."""


class NoSideTask(SideTask, name="none"):
    """Acting alone."""

    def task(self, episode: Episode, renderer: ChatRenderer, history: History) -> Episode | None:
        """Return None."""
        return None


class FeedbackModelling(SideTask, name="feedback"):
    """RLTF-FM (arXiv 2602.02482): after its attempt the policy predicts the critique, -log p(c | x, y), so that
    it learns to see what went wrong where no reward says so.
    """

    weight: float = Field(default=0.1, ge=0)

    def task(self, episode: Episode, renderer: ChatRenderer, history: History) -> Episode | None:
        """Return the episode with its critique as a last message, whose tokens are marked."""
        if not episode.turns:
            return None
        *_, last = conversations(episode, history)
        turn, said = episode.turns[-1], critique(episode).strip()
        previous = Exchange(
            tuple(last.messages),
            renderer.render(last.messages),
            _ids(episode),
            last.answer.content,
            ended(turn, last.answer, renderer),
        )
        context = renderer.context([*last.messages, last.answer, Message("user", said)], (), previous)
        text = renderer.decode(context.prompt_ids)
        head, body = renderer.encode(text[: text.rindex(said)]), renderer.encode(said)
        silent = [replace(other, loss_mask=np.zeros_like(other.loss_mask)) for other in episode.turns]
        told = replace(
            turn,
            prompt_start=context.prompt_start,
            prompt_ids=np.array(head, np.int32),
            completion_ids=np.array(body, np.int32),
            logprobs=np.zeros(len(body), np.float32),
            loss_mask=np.ones(len(body), np.int8),
        )
        return replace(episode, turns=(*silent, told))


@dataclass(frozen=True, slots=True)
class SideRows:
    """The side task's rows of a batch."""

    weight: float = 0.0
    row_T: Mapping[int, Row] = field(default_factory=dict[int, Row])
    """By trajectory, where there is anything to predict."""

    def of(self, trajectories: Sequence[int]) -> list[Row]:
        """Return the rows of some trajectories."""
        return [self.row_T[index] for index in trajectories if index in self.row_T]


@dataclass(frozen=True, slots=True)
class SideTasks:
    """A side task at work."""

    part: SideTask
    renderer: ChatRenderer
    history: History

    def rows(self, episodes: Sequence[Episode]) -> SideRows:
        """Return the side task's rows on these episodes, one for each trajectory that has any."""
        found: dict[int, Row] = {}
        for index, episode in enumerate(episodes):
            task = self.part.task(episode, self.renderer, self.history)
            if task is not None and any(turn.loss_mask.any() for turn in task.turns):
                found[index] = pack([task])[0]
        return SideRows(self.part.weight, found)


def _ids(episode: Episode) -> list[int]:
    """Return context and completion of an episode's last turn."""
    ids: list[int] = []
    turn: Turn
    for turn in episode.turns:
        ids = [*ids[: turn.prompt_start], *turn.prompt_ids.tolist(), *turn.completion_ids.tolist()]
    return ids
