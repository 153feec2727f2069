"""The trainer: rollout -> credit -> learn -> publish, until the recipe's iterations are done.

Each iteration is finished when its checkpoint is on disk; whatever an interrupted one left behind is
dropped on resume and done again, with the same numbers.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter

import numpy as np
from transformers import PreTrainedModel

from agentgym.core.errors import InfrastructureError, StoreFault
from agentgym.core.trace import Episode
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import LoadedModel, save_model
from agentgym.store.store import Store
from agentgym.store.tables import RunStatus
from agentgym.store.writer import EpisodeWriter
from agentgym.training.assembly import (
    initial_model,
    make_policy,
    make_side_task,
    make_tutor,
    must_have_engine,
    open_model,
)
from agentgym.training.checkpoint import (
    NO_SPACE,
    Checkpoint,
    checkpoints,
    latest_checkpoint,
    load_optimiser,
    save_checkpoint,
)
from agentgym.training.critics.judge import Judge
from agentgym.training.curves import Curves
from agentgym.training.data import Demonstrated, Recorded
from agentgym.training.demonstrated import DemonstratedEpisodes
from agentgym.training.drift import with_drift
from agentgym.training.evaluations import Evaluations
from agentgym.training.experience import Experience, Source
from agentgym.training.guides import make_guide
from agentgym.training.learner import Learner, Update
from agentgym.training.losses.objective import GAP_CAP
from agentgym.training.memory import Memories
from agentgym.training.metrics import rollout_metrics
from agentgym.training.offending import NonFiniteLoss
from agentgym.training.plot import plot_learning_curve
from agentgym.training.progress import Progress, Silent
from agentgym.training.recorded import RecordedEpisodes
from agentgym.training.rollouts import Rollouts
from agentgym.training.run import Run, installed_versions
from agentgym.training.turns import TurnTable
from agentgym.training.watch import Watch


class Trainer:
    """Carries out a run from its recipe, from the beginning or from its last checkpoint."""

    def __init__(self, run: Run, progress: Progress | None = None) -> None:
        self.run = run
        self.memories = Memories()
        self.recipe = self.memories.bind(run.recipe)
        self.progress = progress or Silent()
        self.judge: Judge | None = None
        """The recipe's critic, once there is a learner."""

    def train(self) -> None:
        """Do what is left of the run. Raises `StoreFault` when the disk is full; nothing finished is lost."""
        must_have_engine(self.recipe)
        try:
            begun = bool(checkpoints(self.run.checkpoints))
            resumed = latest_checkpoint(self.run.checkpoints) if begun else None
            with Store(self.run.store) as store:
                self._enter(store, resumed)
                with self._status_kept(store):
                    self._train(store, resumed)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            raise StoreFault(
                f"No space left for the run {self.run.path} ({error.strerror}). Its last finished iteration is "
                "safe: free some space, then resume it."
            ) from error

    @contextmanager
    def _status_kept(self, store: Store) -> Generator[None]:
        """Note in the store how the run ended."""
        ending = RunStatus.FAILED
        try:
            yield
            ending = RunStatus.FINISHED
        except KeyboardInterrupt:
            ending = RunStatus.INTERRUPTED
            raise
        finally:
            with suppress(StoreFault):  # a full disk is told already
                store.set_status(self.run.name, ending)

    def _enter(self, store: Store, resumed: Checkpoint | None) -> None:
        """Make the store agree with the last checkpoint, adding the run if it is new."""
        if self.run.name not in {row.id for row in store.runs()}:
            store.create_run(
                self.run.name,
                "train",
                config=self.recipe.model_dump(mode="json"),
                versions=installed_versions(),
            )
        finished = resumed.iteration if resumed else 0
        self.run.forget_from(finished)
        store.delete_from(self.run.name, finished)
        store.set_status(self.run.name, RunStatus.RUNNING)

    def _train(self, store: Store, resumed: Checkpoint | None) -> None:
        loaded, learner = self._resume(resumed) if resumed else self._begin()
        policy = make_policy(self.recipe, loaded, self.recipe.rollout.engine)
        policy.set_version(learner.iteration)
        evaluations = Evaluations(self.run, store, policy, self.progress)
        rollouts = self._source(store, policy)
        if learner.iteration == 0:
            evaluations.heldout("before")
        self.progress.stage("reinforcement", self.recipe.iterations)
        for _ in range(learner.iteration):
            self.progress.advance()
        curves = Curves(self.run.curves, learner.iteration)
        with EpisodeWriter(store, self.run.name) as writer, curves:
            while learner.iteration < self.recipe.iterations:
                evaluations.select(learner.iteration)
                self._iterate(store, writer, curves, rollouts, loaded, learner, policy)
        evaluations.select(learner.iteration)
        evaluations.heldout("after")
        plot_learning_curve(self.run)

    def _source(self, store: Store, policy: LocalPolicy) -> Source:
        """Return where the iterations' episodes come from."""
        if isinstance(self.recipe.data, Recorded):
            return RecordedEpisodes(self.recipe)
        if isinstance(self.recipe.data, Demonstrated):
            return DemonstratedEpisodes(self.recipe, policy.tokenizer)
        guide = make_guide(self.recipe, policy, lambda name: store.episode(name, self.run.name))
        return Rollouts(self.recipe, policy, Watch(self.run, self.progress), guide)

    def _begin(self) -> tuple[LoadedModel, Learner]:
        """Return the model that reinforcement starts from, with its learner; the first checkpoint is made."""
        if isinstance(self.recipe.data, Recorded):
            RecordedEpisodes(self.recipe).must_match(self.recipe.model.path)
        loaded = initial_model(self.recipe, self.progress)
        save_model(loaded.model, loaded.tokenizer, self.run.warm_start)
        learner = self._learner(loaded)
        self.judge = Judge(self.recipe, learner) if self.recipe.critic.heads else None
        self._checkpoint(loaded, learner)
        return loaded, learner

    def _learner(self, loaded: LoadedModel, reference: PreTrainedModel | None = None) -> Learner:
        initial = str(self.run.warm_start)
        tutor = make_tutor(self.recipe, loaded, lambda: open_model(self.recipe, initial).model)
        side = make_side_task(self.recipe, loaded)
        return Learner.from_recipe(loaded.model, self.recipe, reference, tutor, side)

    def _resume(self, checkpoint: Checkpoint) -> tuple[LoadedModel, Learner]:
        """Return model and learner as the checkpoint has them."""
        loaded = open_model(self.recipe, str(checkpoint.path))
        needed = "reference" in Update.of(self.recipe).needs
        reference = open_model(self.recipe, str(self._reference(checkpoint))).model if needed else None
        learner = self._learner(loaded, reference)
        if learner.tutor is not None:
            learner.tutor.load(checkpoint.path)
        if learner.average is not None:
            learner.average.load(checkpoint.path)
        self.judge = Judge(self.recipe, learner) if self.recipe.critic.heads else None
        if self.judge is not None:
            self.judge.load(checkpoint.path)
        load_optimiser(checkpoint.path, learner.optimiser)
        self.memories.load(checkpoint.path)
        learner.iteration = checkpoint.iteration
        self.progress.say(f"Resuming {self.run.path} after {learner.iteration} finished iterations.")
        return loaded, learner

    def _reference(self, checkpoint: Checkpoint) -> Path:
        """Return where the reference that a checkpoint learned with is kept."""
        renewed = 0 < self.recipe.replay.renewal < checkpoint.iteration
        return self.run.renewed_reference if renewed else self.run.warm_start

    def _renew_reference(self, loaded: LoadedModel, learner: Learner) -> None:
        """Let the policy be the reference, if it is time to; kept apart, for a resumed run to go on with."""
        if learner.reference is not None and learner.iteration == self.recipe.replay.renewal > 0:
            learner.renew_reference()
            save_model(loaded.model, loaded.tokenizer, self.run.renewed_reference)
            self.progress.say(
                f"The policy after {learner.iteration} iterations is the reference from here on."
            )

    def _iterate(
        self,
        store: Store,
        writer: EpisodeWriter,
        curves: Curves,
        rollouts: Source,
        loaded: LoadedModel,
        learner: Learner,
        policy: LocalPolicy,
    ) -> None:
        """Play, learn, publish, save: one iteration, finished when its checkpoint is on disk."""
        iteration = learner.iteration
        self._renew_reference(loaded, learner)
        started = perf_counter()
        experience = rollouts.play(
            iteration, lambda episode, phase: writer.write(episode, iteration=iteration, phase=phase)
        )
        played = perf_counter()
        metrics = self._learn(store, learner, policy, experience)
        policy.set_version(learner.iteration)
        learned = perf_counter()
        writer.flush()
        store.log_metrics(self.run.name, iteration, metrics)
        self.run.append("metrics.jsonl", iteration, metrics)
        if (
            learner.iteration == self.recipe.iterations
            or learner.iteration % self.recipe.checkpoint.every == 0
        ):
            self._checkpoint(loaded, learner)
        timing = {
            "rollout_s": played - started,
            "learn_s": learned - played,
            "save_s": perf_counter() - learned,
            "sampled_tokens_per_s": metrics["sampled_tokens"] / (played - started),
            "learned_tokens_per_s": metrics["computed_tokens"] / (learned - played),
        }
        self.run.append("timing.jsonl", iteration, timing)
        curves.log(iteration, metrics=metrics, timing=timing)
        self.progress.advance(f"success {metrics['success']:.0%}")
        self.progress.iteration(iteration, metrics, timing)

    def _learn(
        self, store: Store, learner: Learner, policy: LocalPolicy, experience: Experience
    ) -> dict[str, float]:
        """Credit and learn from the episodes that can teach. A group that lost members goes on with the others, if
        these are enough for the recipe (`Experience.dropped`)."""
        episodes, teaching = experience.episodes, experience.teaching()
        scored = teaching.episodes
        if episodes and not any(episode.outcome.scored for episode in episodes):
            raise InfrastructureError(
                f"None of the {len(episodes)} episodes of iteration {learner.iteration} could be scored. The "
                f"first failed with:\n{episodes[0].error}"
            )
        replayed = self._replayed(store, learner.iteration, scored)
        lessons = teaching.joined(replayed)
        turns = TurnTable.from_episodes(lessons.episodes)
        credited = self._credited(store, learner, turns)
        judged: dict[str, float] = {}
        if self.judge is not None:
            lessons, credited, judged = self.judge(lessons, credited, policy)
        advantage_R = np.empty(0)
        if len(credited.turn_R):
            advantage_R = self.recipe.guidance.credit(self.recipe.advantage, credited, lessons.guided_T)
        own = TurnTable.from_episodes(scored) if replayed else turns
        metrics = {**rollout_metrics(scored, own, advantage_R[: len(own.turn_R)]), **experience.metrics}
        metrics["replayed"] = float(len(replayed))
        metrics["unscored"] = float(sum(not episode.outcome.scored for episode in episodes))
        with self._offending_kept(learner.iteration):
            learned = learner.learn(lessons.episodes, credited, advantage_R, lessons.guided)
        if learned["gap_corrected"]:
            self.progress.say(
                f"Iteration {learner.iteration - 1}: the sampler is {learned['gap_mean']:.3g} nats off the trainer "
                f"(limit {self.recipe.gap_limit:g}); corrected by importance weights truncated at {GAP_CAP:g}."
            )
        return {**metrics, **judged, **learned}

    def _replayed(self, store: Store, iteration: int, fresh: Sequence[Episode]) -> list[Episode]:
        """Return the episodes of earlier iterations to learn from as well."""
        return self.recipe.replay.draw(
            fresh,
            iteration,
            self.recipe.seed,
            lambda earlier: store.episodes(self.run.name, iteration=earlier, phase="train"),
        )

    def _credited(self, store: Store, learner: Learner, turns: TurnTable) -> TurnTable:
        """Return the table that credit is given by: with shaped rewards, and the drift where it is asked for."""
        for part in self.recipe.rewards:
            turns = part(turns)
        advantage = self.recipe.advantage
        if not advantage.asks_for_drift:
            return turns
        return with_drift(
            turns, advantage.last_played, learner, lambda name: store.episode(name, self.run.name)
        )

    @contextmanager
    def _offending_kept(self, iteration: int) -> Generator[None]:
        """Save what is no number, and say where."""
        try:
            yield
        except NonFiniteLoss as error:
            if error.offending is None:
                raise
            path = error.offending.save(self.run.offending, iteration)
            raise NonFiniteLoss(f"{error} Its micro-batch is kept in {path}.", error.offending) from None

    def _checkpoint(self, loaded: LoadedModel, learner: Learner) -> None:
        save_checkpoint(
            self.run.checkpoints,
            learner.iteration,
            lambda path: self._save(loaded, learner, path),
            learner.optimiser,
            self.recipe.checkpoint.keep,
        )

    def _save(self, loaded: LoadedModel, learner: Learner, folder: Path) -> None:
        save_model(loaded.model, loaded.tokenizer, folder)
        if learner.tutor is not None:
            learner.tutor.save(folder)
        if learner.average is not None:
            learner.average.save(folder)
        if self.judge is not None:
            self.judge.save(folder)
        self.memories.save(folder)
