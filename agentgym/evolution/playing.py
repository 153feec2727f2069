"""The acting in an evolution: which tasks a batch has, and the episodes that agents with a memory play of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from agentgym import registry
from agentgym.agents.scripted import OracleAgent
from agentgym.core.agent import Agent
from agentgym.core.env import AgentEnv
from agentgym.core.errors import InferenceFault
from agentgym.core.memory import Memory
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode
from agentgym.evolution.settings import EvolveSettings
from agentgym.memory.credit.lottery import ExposureLottery
from agentgym.memory.recall import Dressing, Recall, RecallSettings
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.tools.runner import ToolRunner
from agentgym.memory.tools.toolbox import Toolbox
from agentgym.rollout.collect import EpisodePlan, collect, derive_seed, plan_groups
from agentgym.rollout.rules import Rules
from agentgym.store.store import Store
from agentgym.store.writer import EpisodeWriter

DEMONSTRATED = "demonstrated"
"""The phase of episodes that the expert played."""


def recall_settings(settings: EvolveSettings) -> RecallSettings:
    """Return what agents are shown of a library."""
    return RecallSettings(k=settings.k, space=settings.space, token_budget=settings.token_budget)


class Player:
    """Plays the batches of one run: in each group items are shown or withheld at random, and that is noted.

    Episodes are kept as they end; those that are there already are not played again.
    """

    def __init__(
        self,
        settings: EvolveSettings,
        library: MemoryStore,
        episodes: Store,
        run: str,
        make_agent: Callable[[Memory], Agent],
        runner: ToolRunner,
        *,
        rules: Rules | None = None,
        dress: Dressing | None = None,
    ) -> None:
        self._settings = settings
        self._library = library
        self._episodes = episodes
        self._run = run
        self._make_agent = make_agent
        self._runner = runner
        self._rules = rules
        self._dress = dress
        self.make_env: Callable[[], AgentEnv] = registry.factory(
            settings.env_id, Split.TRAIN, **settings.options
        )
        env = self.make_env()
        self._tasks: Sequence[Task] = env.suite.tasks(Split.TRAIN)
        env.close()

    async def play(self, batch: int, snapshot: str, on_episode: Callable[[Episode], None]) -> list[Episode]:
        """Return the batch's episodes in the order in which they are planned, played with `snapshot` of the library."""
        settings, library = self._settings, self._library
        recall = Recall(library, snapshot, recall_settings(settings), dress=self._dress)
        lottery = ExposureLottery(
            recall, EvidenceLog(library), seed=settings.seed, run=self._run, probability=settings.shown
        )
        agent = self._make_agent(Toolbox(lottery, library, self._runner, space=settings.space))
        label = f"batch-{batch:06d}"
        plans = plan_groups(self.tasks(batch), settings.rollouts, label=label, seed=settings.seed)
        return await self._played(plans, agent, batch, "train", lottery.note, on_episode)

    async def demonstrate(self, on_episode: Callable[[Episode], None]) -> list[Episode]:
        """Return the expert's episodes of the first batch's tasks, as many as the settings ask for."""
        tasks = self.tasks(1)[: self._settings.demonstrations]
        plans = plan_groups(tasks, 1, label=DEMONSTRATED, seed=self._settings.seed)
        return await self._played(plans, OracleAgent(), 1, DEMONSTRATED, lambda _: None, on_episode)

    def tasks(self, batch: int) -> list[Task]:
        """Return the tasks of a batch: all of the split in an order of the seed's, and then again."""
        count, size = self._settings.tasks, len(self._tasks)
        places = range((batch - 1) * count, batch * count)
        rounds = {place // size: self._order(place // size) for place in places}
        return [self._tasks[rounds[place // size][place % size]] for place in places]

    def _order(self, number: int) -> list[int]:
        size = len(self._tasks)
        return random.Random(derive_seed(self._settings.seed, "tasks", number)).sample(range(size), size)

    async def _played(
        self,
        plans: Sequence[EpisodePlan],
        agent: Agent,
        batch: int,
        phase: str,
        note: Callable[[Episode], None],
        on_episode: Callable[[Episode], None],
    ) -> list[Episode]:
        settings = self._settings
        done = self._done(batch, phase, {plan.episode_id for plan in plans})
        with EpisodeWriter(self._episodes, self._run) as writer:

            def ended(episode: Episode) -> None:
                note(episode)  # before the episode is kept: what is kept is not played again
                writer.write(episode, iteration=batch, phase=phase)
                on_episode(episode)

            played = await collect(
                [plan for plan in plans if plan.episode_id not in done],
                agent,
                self.make_env,
                concurrency=settings.concurrency,
                max_turns=settings.max_turns,
                on_episode=ended,
                rules=self._rules,
            )
        done = {**done, **{episode.id: episode for episode in played}}
        if not any(episode.outcome.scored for episode in done.values()):
            first = next(iter(done.values()))
            raise InferenceFault(
                f"None of the {len(done)} episodes of batch {batch} has a score; {first.id} ended as "
                f"{first.outcome.value}: {first.error}. Nothing was learned of them; mend that and go on with --resume."
            )
        return [done[plan.episode_id] for plan in plans if plan.episode_id in done]

    def _done(self, batch: int, phase: str, wanted: Iterable[str]) -> Mapping[str, Episode]:
        """Return the episodes that are there already; those that a fault ended are played again."""
        kept = self._episodes.episodes(self._run, iteration=batch, phase=phase)
        found = {episode.id: episode for episode in kept if episode.id in set(wanted)}
        self._episodes.delete_episodes(
            self._run, [name for name, episode in found.items() if not episode.outcome.scored]
        )
        return {name: episode for name, episode in found.items() if episode.outcome.scored}
