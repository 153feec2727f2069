"""`Teaching`: from the episodes of an iteration to an update of the policy."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import numpy as np

from agentgym.core.errors import InfrastructureError
from agentgym.core.trace import Episode
from agentgym.policies.divergence import DriftGauge
from agentgym.policies.local import LocalPolicy
from agentgym.store.lessons import Lesson
from agentgym.store.store import Store
from agentgym.training.advantages.exposure import fairly_compared
from agentgym.training.context_drift import DRIFT_FILE, by_turn, drift_metrics, turn_drift
from agentgym.training.drift import with_drift
from agentgym.training.experience import Experience
from agentgym.training.losses.objective import GAP_CAP
from agentgym.training.metrics import rollout_metrics
from agentgym.training.offending import NonFiniteLoss
from agentgym.training.progress import Progress
from agentgym.training.recipe import Recipe
from agentgym.training.remembering.library import RunLibrary
from agentgym.training.run import Run
from agentgym.training.state import TrainingState
from agentgym.training.turns import TurnTable


class Teaching:
    """Chooses the episodes that teach, says what each turn was worth, and lets the learner learn from them."""

    def __init__(
        self,
        run: Run,
        recipe: Recipe,
        store: Store,
        state: TrainingState,
        policy: LocalPolicy,
        progress: Progress,
        library: RunLibrary | None = None,
    ) -> None:
        self._run = run
        self._recipe = recipe
        self._store = store
        self._judge = state.judge
        self._learner = state.learner
        self._policy = policy
        self._progress = progress
        self._library = library
        self.lessons: list[Lesson] = []
        """What the last update made of the episodes that were played, not of those that were answered anew."""

    def __call__(self, experience: Experience) -> dict[str, float]:
        """Learn from an iteration's experience and return its metrics.

        A group that lost members goes on with the others, if these are enough for the recipe (`Experience.dropped`).
        Raises `InfrastructureError` where no episode could be scored, and as `Learner.learn`.
        """
        episodes, teaching = experience.episodes, experience.teaching()
        scored = teaching.episodes
        if episodes and not any(episode.outcome.scored for episode in episodes):
            raise InfrastructureError(
                f"None of the {len(episodes)} episodes of iteration {self._learner.iteration} could be scored. The "
                f"first failed with:\n{episodes[0].error}"
            )
        support, teaching = self._set_aside(teaching)
        replayed = self._replayed(teaching.episodes)
        lessons = self._admitted(teaching.joined(replayed))
        again = {episode.id for episode in replayed}
        teaching = lessons.only([episode.id not in again for episode in lessons.episodes])
        turns = TurnTable.from_episodes(lessons.episodes)
        credited = self._credited(turns)
        recorded, judged = frozenset(map(id, lessons.episodes)), dict[str, float]()
        if self._judge is not None:
            lessons, credited, judged = self._judge(lessons, credited, self._policy)
        advantage_R = np.empty(0)
        if len(credited.turn_R):
            recipe = self._recipe
            advantage_R = recipe.guidance.credit(recipe.advantage, credited, lessons.guided_T)
        own = TurnTable.from_episodes(teaching.episodes) if again else turns
        metrics = rollout_metrics(teaching.episodes, own, advantage_R[: len(own.turn_R)])
        metrics |= self._context_drift(scored)
        metrics |= {**teaching.metrics, "replayed": float(len(replayed))}
        metrics["unscored"] = float(sum(not episode.outcome.scored for episode in episodes))
        with self._offending_kept(self._learner.iteration):
            learned = self._learner.learn(lessons.episodes, credited, advantage_R, lessons.guided)
        played = {episode.id for episode in lessons.episodes if id(episode) in recorded}
        self.lessons = [lesson for lesson in self._learner.lessons if lesson.episode in played]
        if learned["gap_corrected"]:
            self._progress.say(
                f"Iteration {self._learner.iteration - 1}: the sampler is {learned['gap_mean']:.3g} nats off the "
                f"trainer (limit {self._recipe.gap_limit:g}); corrected by importance weights truncated at {GAP_CAP:g}."
            )
        if self._library is not None:
            metrics |= self._library.learn(support, scored, self._learner.iteration - 1)
        return {**metrics, **judged, **learned}

    def _context_drift(self, episodes: Sequence[Episode]) -> dict[str, float]:
        """Measure the context drift of some of the policy's own episodes, and keep it turn by turn."""
        wanted = self._recipe.evaluation.drift_episodes
        if not wanted:
            return {}
        own = [episode for episode in episodes if not episode.task.imagined][:wanted]
        temperature, history = self._recipe.rollout.temperature, self._recipe.agent.history
        gauge = DriftGauge(self._policy.model, self._policy.tokenizer, temperature=temperature)
        drift_ET = [turn_drift(gauge, episode, history) for episode in own]
        self._run.append(DRIFT_FILE, self._learner.iteration, by_turn(drift_ET))
        return drift_metrics(drift_ET)

    def _set_aside(self, teaching: Experience) -> tuple[list[Episode], Experience]:
        """Return the episodes that the memory is made from, and the experience without them."""
        if self._library is None:
            return [], teaching
        return self._library.set_aside(teaching, self._learner.iteration)

    def _admitted(self, lessons: Experience) -> Experience:
        """Return what may be learned from beside what the memory was made from."""
        return lessons if self._library is None else self._library.admit(lessons)

    def _replayed(self, fresh: Sequence[Episode]) -> list[Episode]:
        """Return the episodes of earlier iterations to learn from as well."""
        return self._recipe.replay.draw(
            fresh,
            self._learner.iteration,
            self._recipe.seed,
            lambda earlier: self._store.episodes(self._run.name, iteration=earlier, phase="train"),
        )

    def _credited(self, turns: TurnTable) -> TurnTable:
        """Return the table that credit is given by: fair to what a memory showed, with shaped rewards, and the drift
        where it is asked for."""
        memory = self._recipe.memory
        if memory is not None:
            turns = fairly_compared(turns, memory.exposure)
        for part in self._recipe.rewards:
            turns = part(turns)
        advantage = self._recipe.advantage
        if not advantage.asks_for_drift:
            return turns
        return with_drift(
            turns,
            advantage.last_played,
            self._learner,
            lambda name: self._store.episode(name, self._run.name),
        )

    @contextmanager
    def _offending_kept(self, iteration: int) -> Generator[None]:
        """Save what is no number, and say where."""
        try:
            yield
        except NonFiniteLoss as error:
            if error.offending is None:
                raise
            path = error.offending.save(self._run.offending, iteration)
            raise NonFiniteLoss(f"{error} Its micro-batch is kept in {path}.", error.offending) from None
