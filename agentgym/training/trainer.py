"""The trainer: rollout -> credit -> learn -> publish, until the recipe's iterations are done.

Each iteration is finished when its checkpoint is on disk; whatever an interrupted one left behind is
dropped on resume and done again, with the same numbers.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from time import perf_counter

from agentgym.core.errors import StoreFault
from agentgym.core.trace import Episode
from agentgym.policies.local import LocalPolicy
from agentgym.store.folders import alone_in
from agentgym.store.store import Store
from agentgym.store.tables import RunStatus
from agentgym.store.writer import EpisodeWriter
from agentgym.training.assembly import make_policy, must_have_engine
from agentgym.training.checkpoint import NO_SPACE, Checkpoint, checkpoints, latest_checkpoint
from agentgym.training.curves import Curves
from agentgym.training.data import Demonstrated, Recorded
from agentgym.training.demonstrated import DemonstratedEpisodes
from agentgym.training.evaluations import Evaluations
from agentgym.training.experience import Keep, Source
from agentgym.training.guides import make_guide
from agentgym.training.imagination.dreams import Dreams, make_dreams
from agentgym.training.lineage import trained_on
from agentgym.training.memory import Memories
from agentgym.training.plot import plot_learning_curve
from agentgym.training.progress import Progress, Silent
from agentgym.training.recorded import RecordedEpisodes
from agentgym.training.remembering.library import RunLibrary
from agentgym.training.rollouts import Rollouts
from agentgym.training.run import Run, installed_versions
from agentgym.training.state import TrainingState
from agentgym.training.teaching import Teaching
from agentgym.training.tracking import Tracking, must_have_tracker
from agentgym.training.watch import Watch


class Trainer:
    """Carries out a run from its recipe, from the beginning or from its last checkpoint."""

    def __init__(self, run: Run, progress: Progress | None = None) -> None:
        self.run = run
        self.memories = Memories()
        self.recipe = self.memories.bind(run.recipe)
        self.progress = progress or Silent()
        self.library: RunLibrary | None = None
        """The recipe's memory, while the run goes on."""

    def train(self) -> None:
        """Do what is left of the run.

        Raises `UsageError` where another process is at it, `StoreFault` when the disk is full; nothing finished is lost.
        """
        must_have_engine(self.recipe)
        must_have_tracker(self.recipe)
        try:
            with alone_in(self.run.path), Store(self.run.store) as store:
                begun = bool(checkpoints(self.run.checkpoints))
                resumed = latest_checkpoint(self.run.checkpoints) if begun else None
                self._enter(store, resumed)
                with (
                    self._status_kept(store),
                    self._library_open(),
                    Tracking(self.run, store, self.progress) as tracking,
                ):
                    self._train(store, resumed, tracking)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            raise StoreFault(
                f"No space left for the run {self.run.path} ({error.strerror}). Its last finished iteration is "
                "safe: free some space, then resume it."
            ) from error

    @contextmanager
    def _library_open(self) -> Generator[None]:
        """Have the run's library at hand, if the recipe has a memory."""
        if self.recipe.memory is None:
            yield
            return
        with closing(RunLibrary(self.run, self.recipe.memory, self.recipe.seed)) as self.library:
            yield

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

    def _train(self, store: Store, resumed: Checkpoint | None, tracking: Tracking) -> None:
        state = self._state(resumed)
        learner = state.learner
        policy = make_policy(self.recipe, state.loaded, self.recipe.rollout.engine)
        policy.set_version(learner.iteration)
        evaluations = Evaluations(self.run, store, policy, self.progress, self.library)
        dreams = make_dreams(
            self.recipe, lambda iteration: store.episodes(self.run.name, iteration=iteration, phase="train")
        )
        rollouts = self._source(store, policy, dreams)
        teach = Teaching(self.run, self.recipe, store, state, policy, self.progress, self.library)
        if learner.iteration == 0:
            evaluations.heldout("before")
        self.progress.stage("reinforcement", self.recipe.iterations)
        for _ in range(learner.iteration):
            self.progress.advance()
        curves = Curves(self.run.curves, learner.iteration)
        with (
            EpisodeWriter(store, self.run.name) as writer,
            curves,
            closing(dreams) if dreams else nullcontext(),
        ):
            while learner.iteration < self.recipe.iterations:
                evaluations.select(learner.iteration)
                self._renew_reference(state)
                iteration, started = learner.iteration, perf_counter()
                experience = rollouts.play(iteration, self._keep(writer, iteration))
                played = perf_counter()
                metrics = teach(experience)
                policy.set_version(learner.iteration)
                learned = perf_counter()
                writer.flush()
                store.write_lessons(self.run.name, teach.lessons)
                self._finish(store, state, iteration, metrics)
                seconds = {
                    "rollout_s": played - started,
                    "learn_s": learned - played,
                    "save_s": perf_counter() - learned,
                }
                self._tell(iteration, curves, metrics, seconds)
                tracking.log(iteration, metrics)
        evaluations.select(learner.iteration)
        evaluations.heldout("after")
        plot_learning_curve(self.run)

    def _state(self, resumed: Checkpoint | None) -> TrainingState:
        """Return the state to go on from."""
        library = self.library
        others = [self.memories] if library is None else [self.memories, library]
        if resumed is None:
            if library is not None:
                library.begin(trained_on(self.recipe.model.path))
            return TrainingState.begin(self.run, self.recipe, others, self.progress, library)
        state = TrainingState.resume(self.run, self.recipe, others, resumed)
        self.progress.say(f"Resuming {self.run.path} after {resumed.iteration} finished iterations.")
        return state

    def _source(self, store: Store, policy: LocalPolicy, dreams: Dreams | None) -> Source:
        """Return where the iterations' episodes come from."""
        if isinstance(self.recipe.data, Recorded):
            return RecordedEpisodes(self.recipe)
        if isinstance(self.recipe.data, Demonstrated):
            return DemonstratedEpisodes(self.recipe, policy.tokenizer)
        guide = make_guide(self.recipe, policy, lambda name: store.episode(name, self.run.name))
        watch = Watch(self.run, self.progress)
        return Rollouts(self.recipe, policy, watch, guide, dreams, self.library)

    def _keep(self, writer: EpisodeWriter, iteration: int) -> Keep:
        """Return what is told each episode of an iteration."""

        def keep(episode: Episode, phase: str) -> None:
            writer.write(episode, iteration=iteration, phase=phase)
            if self.library is not None and phase == "train":
                self.library.note(episode)

        return keep

    def _renew_reference(self, state: TrainingState) -> None:
        if state.renew_reference():
            self.progress.say(
                f"The policy after {state.learner.iteration} iterations is the reference from here on."
            )

    def _finish(
        self, store: Store, state: TrainingState, iteration: int, metrics: Mapping[str, float]
    ) -> None:
        """Keep what an iteration came to; it is finished when its checkpoint is on disk."""
        store.log_metrics(self.run.name, iteration, metrics)
        self.run.append("metrics.jsonl", iteration, metrics)
        done = state.learner.iteration
        if done == self.recipe.iterations or done % self.recipe.checkpoint.every == 0:
            state.save()

    def _tell(
        self, iteration: int, curves: Curves, metrics: Mapping[str, float], seconds: Mapping[str, float]
    ) -> None:
        """Note how fast an iteration went, and show it."""
        timing = {
            **seconds,
            "sampled_tokens_per_s": metrics["sampled_tokens"] / seconds["rollout_s"],
            "learned_tokens_per_s": metrics["computed_tokens"] / seconds["learn_s"],
        }
        self.run.append("timing.jsonl", iteration, timing)
        curves.log(iteration, metrics=metrics, timing=timing)
        self.progress.advance(f"success {metrics['success']:.0%}")
        self.progress.iteration(iteration, metrics, timing)
