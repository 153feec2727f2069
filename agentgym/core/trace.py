"""Records of what happened: turns and episodes.

The token fields follow one rule: a completion's context is `previous[:prompt_start] + prompt_ids`, where
`previous` is the whole context and completion of the one before it, usually the turn's before (see `Completion`). So a
conversation that only grows is one flat row of tokens, and one that is cut or summarised is a tree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.core.env import Action
from agentgym.core.message import Message
from agentgym.core.policy import NO_TOKENS, TokenCount
from agentgym.core.task import Task


class Outcome(StrEnum):
    """How an episode ended. The last four have no score and never enter a group's statistics."""

    SUCCESS = "success"
    """The task is solved."""
    FAILURE = "failure"
    """The environment ended the episode unsolved."""
    TRUNCATED = "truncated"
    """The turn, token or time limit was reached unsolved."""
    AGENT_ERROR = "agent_error"
    """The agent's own code raised; counts as a failure."""
    ENV_ERROR = "env_error"
    """The environment raised or timed out."""
    INFERENCE_ERROR = "inference_error"
    """The policy could not produce tokens."""
    SANDBOX_ERROR = "sandbox_error"
    """A sandbox could not run."""
    CANCELLED = "cancelled"
    """The run was stopped."""

    @property
    def scored(self) -> bool:
        """Whether the episode says something about the agent."""
        return self in _SCORED


_SCORED = frozenset({Outcome.SUCCESS, Outcome.FAILURE, Outcome.TRUNCATED, Outcome.AGENT_ERROR})


class StopReason(StrEnum):
    """What stopped an episode."""

    COMPLETED = "completed"
    """The environment terminated it."""
    ENV_TRUNCATED = "env_truncated"
    """The environment's own step limit."""
    MAX_TURNS = "max_turns"
    """The rollout's limit on turns."""
    TOKEN_LIMIT = "token_limit"
    """The rollout's limit on the tokens that an episode samples."""
    TIME_LIMIT = "time_limit"
    """The rollout's limit on the seconds of an episode."""
    CONTEXT_OVERFLOW = "context_overflow"
    """The conversation outgrew the model's context."""
    ERROR = "error"
    """An exception; `Episode.error` has it."""
    CANCELLED = "cancelled"
    """The run was stopped."""


def _one_version() -> NDArray[np.int32]:
    return np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Thought:
    """A completion on the way to a decision, besides the one that the action was read out of.

    Its fields are a turn's, and `prompt_start` follows the same rule.
    """

    policy_version: int
    prompt_start: int
    prompt_ids: NDArray[np.int32]
    completion_ids: NDArray[np.int32]
    logprobs: NDArray[np.float32]
    loss_mask: NDArray[np.int8]
    policy_versions: NDArray[np.int32] = field(default_factory=_one_version)


@dataclass(frozen=True, slots=True)
class Turn:
    """One decision of the agent and what it led to.

    `state_key` is the key of the state in which the decision was taken; `reward` is what the action
    earned. `loss_mask` is 1 on the completion tokens that the policy itself sampled: 0 throughout a turn
    that was replayed.
    """

    observation: Any
    action: Action
    reward: float
    terminated: bool
    truncated: bool
    valid: bool
    """Whether the answer parsed and the environment took the action."""
    state_key: str
    policy_version: int
    prompt_start: int
    prompt_ids: NDArray[np.int32]
    completion_ids: NDArray[np.int32]
    logprobs: NDArray[np.float32]
    loss_mask: NDArray[np.int8]
    messages_delta: tuple[Message, ...] = ()
    shown_items: tuple[str, ...] = ()
    """Versions of memory items that came into the conversation at this turn."""
    withheld_items: tuple[str, ...] = ()
    """Versions that would have come into it but for a lottery (`agentgym.memory.credit.lottery`)."""
    timing: Mapping[str, float] = field(default_factory=dict[str, float])
    """Seconds: `policy` and `env`."""
    policy_versions: NDArray[np.int32] = field(default_factory=_one_version)
    """The version behind each completion id, where the weights changed in mid-answer; else empty."""
    thoughts: tuple[Thought, ...] = ()
    """What was sampled in this decision before the turn's own completion."""
    usage: TokenCount = NO_TOKENS
    """What the decision's completions cost, as the policy counted."""

    @property
    def completions(self) -> tuple[Thought | Turn, ...]:
        """The decision's completions in the order in which they were sampled; the turn's own is the last."""
        return (*self.thoughts, self)

    @property
    def trained_tokens(self) -> int:
        """Number of the decision's tokens that are to be trained on."""
        return sum(int(part.loss_mask.sum()) for part in self.completions)

    @property
    def replayed(self) -> bool:
        """Whether the answer was given beforehand, and is not to be trained on."""
        return self.policy_version < 0 and len(self.completion_ids) > 0 and not self.loss_mask.any()


@dataclass(frozen=True, slots=True)
class Versions:
    """What the episode was played with. -1 and "" mean: none."""

    policy: int = -1
    memory: str = ""
    skills: str = ""
    tools: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a branch left another episode: the turns before are the other's, and the policy is trained on them there."""

    episode: str
    """Id of the other episode."""
    turn: int
    """The first turn (from 0) that is the branch's own."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One play of one task, from reset to end.

    `score` is the sum of rewards, or None where `outcome` is not `scored`. Episodes of one `group_id`
    started from the same task and state. Those with an `origin` make a tree with the episodes they branched off.
    """

    id: str
    task: Task
    group_id: str
    turns: Sequence[Turn]
    outcome: Outcome
    score: float | None
    stop_reason: StopReason
    seed: int
    versions: Versions = field(default_factory=Versions)
    error: str | None = None
    final_observation: Any = None
    origin: Origin | None = None
    """Where it branched off another episode; None: played from reset."""

    def __repr__(self) -> str:
        # Short: asyncio puts the result of a task into words whenever it starts one.
        return f"Episode({self.id!r}, {self.outcome.value}, score={self.score}, {len(self.turns)} turns)"

    @property
    def success(self) -> bool:
        """Whether the task was solved."""
        return self.outcome is Outcome.SUCCESS

    @property
    def teaches(self) -> bool:
        """Whether any token of it is to be trained on."""
        return any(turn.trained_tokens for turn in self.turns)

    @property
    def ended_in_prefix(self) -> bool:
        """Whether it was over before the policy acted: every turn was replayed."""
        return bool(self.turns) and all(turn.replayed for turn in self.turns)

    @property
    def sampled_tokens(self) -> int:
        """Number of tokens the policy sampled."""
        own = [turn for turn in self.turns if not turn.replayed]
        return sum(len(part.completion_ids) for turn in own for part in turn.completions)

    @property
    def usage(self) -> TokenCount:
        """What its own turns cost, as the policy counted."""
        own = [turn.usage for turn in self.turns if not turn.replayed]
        return TokenCount(sum(count.prompt for count in own), sum(count.completion for count in own))


def agreement(one: NDArray[np.int32], other: NDArray[np.int32]) -> int:
    """Return how many token ids agree from the start: what `prompt_start` says of two contexts."""
    length = min(len(one), len(other))
    different = np.flatnonzero(one[:length] != other[:length])
    return int(different[0]) if len(different) else length
