"""One attempt at a rollout: what an agent did between its first call and its reward.

The attempt is open until a reward with `done` comes, or until it is ended without one; only then is there an
episode. A call that failed for want of the policy must be answered on a repeat, or the attempt ends as an
inference error: an agent that goes on after such a failure is not judged for it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from agentgym.core.policy import FinishReason, Policy, Sampling
from agentgym.core.trace import Episode, Outcome, StopReason, Versions
from agentgym.rollout.collect import EpisodePlan
from agentgym.serving.conversations import Conversations, Node, TooLong, state_of
from agentgym.serving.problems import Refusal, conflict
from agentgym.serving.recording import turns_of
from agentgym.serving.wire.call import Call


class AttemptKey(NamedTuple):
    """The name of an attempt."""

    rollout: str
    number: int

    def __str__(self) -> str:
        return f"{self.rollout}/{self.number}"

    @property
    def path(self) -> str:
        """Where the gateway serves it."""
        return f"/rollout/{self.rollout}/attempt/{self.number}"


class Attempt:
    """An attempt under way. `on_end` is called with its episode."""

    def __init__(
        self, key: AttemptKey, plan: EpisodePlan, policy: Policy, on_end: Callable[[Attempt, Episode], None]
    ) -> None:
        self.key = key
        self.plan = plan
        self.touched = monotonic()
        """When something last happened."""
        self._seed = plan.seed if plan.agent_seed is None else plan.agent_seed
        self._conversations = Conversations(policy, f"gateway {plan.episode_id}")
        self._on_end = on_end
        self._nodes: list[Node] = []
        self._rewards: dict[Node, float] = {}
        self._unanswered: dict[str, str] = {}
        """Conversations that the policy failed to answer, with what went wrong."""
        self._overflowed = False
        """Whether the last call found no room for a whole answer."""
        self._asking: list[asyncio.Task[object] | None] = []
        """The tasks that wait for an answer."""
        self._episode: asyncio.Future[Episode] = asyncio.get_running_loop().create_future()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._episode.done()

    @property
    def answered(self) -> bool:
        """Whether any call of it was answered."""
        return bool(self._nodes)

    @property
    def waiting(self) -> bool:
        """Whether a call of it is under way."""
        return bool(self._asking)

    async def episode(self) -> Episode:
        """Wait for the end and return what was recorded."""
        return await asyncio.shield(self._episode)

    async def ask(self, call: Call, sampling: Sampling, timeout_s: float | None) -> Node:
        """Have the policy answer a call; `deliver` or `withhold` what comes of it.

        The task that waits for this is cancelled if the attempt ends in the meantime. Raises `Refusal` where it has
        ended or the conversation has grown too long, and what the policy raises where it fails.
        """
        self._refuse_ended("call")
        state = state_of(call.messages, call.tools)
        self._asking.append(asyncio.current_task())
        try:
            node = await self._conversations.ask(call.messages, call.tools, sampling, self._seed, timeout_s)
        except Refusal as error:
            self._overflowed = isinstance(error, TooLong)
            raise
        except Exception as error:
            self._unanswered[state] = str(error)
            raise
        finally:
            self._asking.remove(asyncio.current_task())
            self.touched = monotonic()
        self._unanswered.pop(state, None)
        self._overflowed = node.completion.finish_reason is FinishReason.CONTEXT
        return node

    def deliver(self, node: Node, call: Call) -> None:
        """Take an answer that is about to be sent into the record."""
        self._nodes.append(node)
        self._conversations.keep(node, call.messages)

    def withhold(self, node: Node) -> None:
        """Forget an answer that nobody waits for any more."""
        self._conversations.drop(node)

    def reward(self, reward: float, success: bool | None = None, *, done: bool = True) -> None:
        """Add a reward for what was answered last; with `done` the attempt ends.

        `success` says whether the task is solved; unsaid, it is where the rewards come to more than 0. Raises
        `Refusal` for a number that is not finite, before the first answer, and after the end.
        """
        self._refuse_ended("reward")
        if not math.isfinite(reward):
            raise Refusal(400, f"reward: got {reward}; it must be a finite number.", param="reward")
        if not self._nodes:
            raise conflict(
                f"Attempt {self.key} has no answered call yet, so there is nothing to reward. "
                "Is the agent's base URL that of this attempt?"
            )
        self.touched = monotonic()
        latest = max(self._nodes, key=lambda node: node.number)
        self._rewards[latest] = self._rewards.get(latest, 0.0) + reward
        if not done:
            return
        solved = self._score > 0 if success is None else success
        if not solved and self._overflowed:
            self.end(Outcome.TRUNCATED, StopReason.CONTEXT_OVERFLOW)
        else:
            self.end(Outcome.SUCCESS if solved else Outcome.FAILURE, StopReason.COMPLETED)

    def end(self, outcome: Outcome, stop: StopReason, error: str | None = None) -> None:
        """End the attempt, unless it has ended: as an inference error, where a call of it was never answered."""
        if self.done:
            return
        if self._unanswered:
            outcome, stop, error = (
                Outcome.INFERENCE_ERROR,
                StopReason.ERROR,
                next(iter(self._unanswered.values())),
            )
        for task in self._asking:
            if task is not None:
                task.cancel()
        self._conversations.close()
        turns = turns_of(self._nodes, self._rewards, outcome)
        episode = Episode(
            id=self.plan.episode_id,
            task=self.plan.task,
            group_id=self.plan.group_id,
            turns=turns,
            outcome=outcome,
            score=self._score if outcome.scored else None,
            stop_reason=stop,
            seed=self.plan.seed,
            versions=Versions(policy=turns[0].policy_version if turns else -1),
            error=error,
        )
        self._episode.set_result(episode)
        self._on_end(self, episode)

    @property
    def _score(self) -> float:
        return sum(self._rewards.values())

    def _refuse_ended(self, what: str) -> None:
        if self.done:
            raise ended(self.key, what)


def ended(key: AttemptKey, what: str) -> Refusal:
    """Return the refusal of a call or reward that comes after the end."""
    return conflict(
        f"Attempt {key} has ended: this {what} comes too late. Begin another attempt, with another number."
    )
