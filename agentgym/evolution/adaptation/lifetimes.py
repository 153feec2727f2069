"""Lifetimes: several attempts at a task, each with what the ones before have taught."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agentgym.core.agent import Agent
from agentgym.core.env import AgentEnv
from agentgym.core.errors import LeakError
from agentgym.core.memory import Memory
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode
from agentgym.evolution.adaptation.genome import Adaptation
from agentgym.evolution.adaptation.guiding import Guided, GuideWriter
from agentgym.memory.transcripts import Transcript
from agentgym.rollout.collect import EpisodePlan, collect, derive_seed
from agentgym.rollout.rules import Rules


def fitness(solved: Sequence[bool]) -> float:
    """Return Σ k·s_k / Σ k over the attempts k = 1, 2, …: later ones count more, since they had more to learn from
    (Meta-TTL's time-weighted area, with scores of 0 and 1).

    >>> fitness([False, False, True])
    0.5
    """
    weights = range(1, len(solved) + 1)
    return sum(k for k, won in zip(weights, solved, strict=True) if won) / sum(weights)


class Lifetimes:
    """Plays the attempts of many tasks side by side; the seeds are the same for every adaptation.

    `make_agent` makes an agent around a memory, `remember` the memory of an adaptation (None: it has none), `make_env`
    environments of a split.
    """

    def __init__(
        self,
        make_agent: Callable[[Memory | None], Agent],
        remember: Callable[[Adaptation], Memory | None],
        writer: GuideWriter,
        make_env: Callable[[Split], Callable[[], AgentEnv]],
        *,
        attempts: int,
        max_turns: int,
        concurrency: int = 16,
        seed: int = 0,
        rules: Rules | None = None,
    ) -> None:
        self._make_agent = make_agent
        self._remember = remember
        self._writer = writer
        self._make_env = make_env
        self._attempts = attempts
        self._max_turns = max_turns
        self._concurrency = concurrency
        self._seed = seed
        self._rules = rules

    async def live(self, adaptation: Adaptation, tasks: Sequence[Task]) -> list[list[Episode] | None]:
        """Return the attempts at each of the tasks, all of one split; None where a fault of the infrastructure took one.

        Raises `LeakError` for held-out tasks: nothing is chosen by them. Raises `InferenceFault` where no guide is
        written.
        """
        if not tasks:
            return []
        split = tasks[0].split
        if any(task.split is not split or split is Split.HELDOUT for task in tasks):
            raise LeakError(
                "Adaptations are searched on train tasks and selected on `select` tasks; got tasks of "
                f"{', '.join(sorted({task.split.value for task in tasks}))} together."
            )
        guides: dict[str, str] = {}
        agent = self._make_agent(Guided(self._remember(adaptation), guides))
        lived: dict[str, list[Episode]] = {task.key: [] for task in tasks}
        for attempt in range(self._attempts):
            plans = [self._plan(task, attempt) for task in tasks if len(lived[task.key]) == attempt]
            played = await collect(
                plans,
                agent,
                self._make_env(split),
                concurrency=self._concurrency,
                max_turns=self._max_turns,
                rules=self._rules,
            )
            for episode in played:
                if episode.outcome.scored:
                    lived[episode.task.key].append(episode)
            if adaptation.prompt and attempt + 1 < self._attempts:
                await self._guide(adaptation.prompt, [each for each in played if each.outcome.scored], guides)
        whole = [lived[task.key] for task in tasks]
        return [attempts if len(attempts) == self._attempts else None for attempts in whole]

    async def _guide(self, prompt: str, episodes: Sequence[Episode], guides: dict[str, str]) -> None:
        for episode in episodes:
            key = episode.task.key
            guides[key] = await self._writer.write(prompt, Transcript.of(episode), guides.get(key, ""))

    def _plan(self, task: Task, attempt: int) -> EpisodePlan:
        name = f"{task.split.value}/{task.key}"
        return EpisodePlan(
            task, f"{name}/{attempt:02d}", name, derive_seed(self._seed, "attempt", task.key, attempt)
        )
