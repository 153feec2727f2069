"""The rollouts a gateway knows: open attempts, and those that have ended."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from agentgym.core.errors import UsageError
from agentgym.core.policy import Policy
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode, Outcome, StopReason
from agentgym.rollout.collect import EpisodePlan, derive_seed
from agentgym.serving.attempt import Attempt, AttemptKey, ended
from agentgym.serving.problems import Refusal, conflict

EXTERNAL = "agentgym/External-v0"
"""`Task.env_id` where nobody said what the task is: whatever the agent plays in is its own."""

REMEMBERED = 1024
"""Episodes that can still be asked for after their end, the latest ones."""

_ROLLOUT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class Registry:
    """Attempts by rollout and number. Unless an attempt is planned, its rollout's id is its task and its group.

    `on_episode` is called with each episode as it ends.
    """

    def __init__(self, policy: Policy, seed: int, on_episode: Callable[[Episode], None]) -> None:
        self._policy = policy
        self._seed = seed
        self._on_episode = on_episode
        self._attempts: dict[AttemptKey, Attempt] = {}
        self._ended: set[AttemptKey] = set()
        self._episodes: OrderedDict[AttemptKey, Episode] = OrderedDict()

    def plan(self, key: AttemptKey) -> EpisodePlan:
        """Return the plan of an attempt that nobody planned."""
        task = Task(key.rollout, EXTERNAL, Split.TRAIN)
        return EpisodePlan(task, str(key), key.rollout, derive_seed(self._seed, *key))

    def open(self, key: AttemptKey, plan: EpisodePlan | None = None) -> Attempt:
        """Begin an attempt; raises `Refusal` (409) where there is or was one of this name."""
        _check(key)
        if key in self._attempts or key in self._ended:
            state = "under way" if key in self._attempts else "over"
            raise conflict(f"Attempt {key} is {state} already; give each attempt a number of its own.")
        attempt = Attempt(key, plan or self.plan(key), self._policy, self._end)
        self._attempts[key] = attempt
        return attempt

    def find(self, key: AttemptKey, what: str) -> Attempt:
        """Return an open attempt, begun now if need be; `what` is wanted of it. Raises `Refusal` after its end."""
        if key in self._ended:
            raise ended(key, what)
        return self._attempts.get(key) or self.open(key)

    async def episode(self, key: AttemptKey) -> Episode:
        """Wait for the end of an attempt, which may begin later, and return its episode."""
        if key in self._episodes:
            return self._episodes[key]
        if key in self._ended:
            raise UsageError(
                f"Attempt {key} ended long ago: only the latest {REMEMBERED} episodes are remembered. "
                "Take them with on_episode as they end."
            )
        return await self.find(key, "question").episode()

    def idle(self, idle_s: float) -> list[Attempt]:
        """Return the attempts in which nothing has happened for `idle_s` seconds."""
        before = monotonic() - idle_s
        return [one for one in self._attempts.values() if not one.waiting and one.touched < before]

    def close(self) -> None:
        """End every attempt that is under way, without a verdict.

        Raises the first failure of `on_episode`, once all have ended.
        """
        failures: list[Exception] = []
        for attempt in list(self._attempts.values()):
            try:
                attempt.end(Outcome.CANCELLED, StopReason.CANCELLED, "The gateway was stopped.")
            except Exception as error:  # noqa: BLE001 - the others must be handed over all the same
                failures.append(error)
        if failures:
            raise failures[0]

    def _end(self, attempt: Attempt, episode: Episode) -> None:
        del self._attempts[attempt.key]
        self._ended.add(attempt.key)
        self._episodes[attempt.key] = episode
        if len(self._episodes) > REMEMBERED:
            self._episodes.popitem(last=False)
        self._on_episode(episode)


def _check(key: AttemptKey) -> None:
    if not _ROLLOUT.fullmatch(key.rollout):
        raise Refusal(
            400,
            f"A rollout's id is 1 to 128 letters, digits and . _ : - that begin with one of the former, "
            f"got {key.rollout!r:.160}.",
        )
