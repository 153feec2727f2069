"""`TrainingState`: what an iteration changes, and a checkpoint holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

from transformers import PreTrainedModel

from agentgym.core.memory import Memory
from agentgym.policies.models import LoadedModel, save_model
from agentgym.training.assembly import initial_model, make_side_task, make_tutor, open_model
from agentgym.training.checkpoint import Checkpoint, load_optimiser, save_checkpoint
from agentgym.training.critics.judge import Judge
from agentgym.training.data import Recorded
from agentgym.training.learner import Learner
from agentgym.training.progress import Progress
from agentgym.training.recipe import Recipe
from agentgym.training.recorded import RecordedEpisodes
from agentgym.training.run import Run
from agentgym.training.update import Update


class Kept(Protocol):
    """A part of the state that has files of its own in a checkpoint."""

    def save(self, folder: Path) -> None:
        """Write what a resumed run needs into a checkpoint."""
        ...

    def load(self, folder: Path) -> None:
        """Read what `save` wrote; raises `CheckpointError` where it is not there."""
        ...


class TrainingState:
    """The model, its learner with the optimiser, and whatever else learns or is remembered."""

    def __init__(
        self,
        run: Run,
        recipe: Recipe,
        loaded: LoadedModel,
        others: Sequence[Kept],
        reference: PreTrainedModel | None = None,
    ) -> None:
        """Build the learner that a recipe describes around a model; `others` are kept in checkpoints as well."""
        self._run = run
        self._recipe = recipe
        self.loaded = loaded
        tutor = make_tutor(recipe, loaded, lambda: open_model(recipe, str(run.warm_start)).model)
        side = make_side_task(recipe, loaded)
        self.learner = Learner.from_recipe(loaded.model, recipe, reference, tutor, side)
        self.judge = Judge(recipe, self.learner) if recipe.critic.heads else None
        """The recipe's critic."""
        possible = (tutor, self.learner.average, self.judge, *others)
        self._kept: list[Kept] = [part for part in possible if part is not None]

    @classmethod
    def begin(
        cls,
        run: Run,
        recipe: Recipe,
        others: Sequence[Kept],
        progress: Progress,
        memory: Memory | None = None,
    ) -> Self:
        """Return the state that reinforcement starts from; the first checkpoint is made."""
        if isinstance(recipe.data, Recorded):
            RecordedEpisodes(recipe).must_match(recipe.model.path)
        loaded = initial_model(recipe, progress, memory)
        save_model(loaded.model, loaded.tokenizer, run.warm_start)
        state = cls(run, recipe, loaded, others)
        state.save()
        return state

    @classmethod
    def resume(cls, run: Run, recipe: Recipe, others: Sequence[Kept], checkpoint: Checkpoint) -> Self:
        """Return the state as a checkpoint has it."""
        loaded = open_model(recipe, str(checkpoint.path))
        reference = None
        if "reference" in Update.of(recipe).needs:
            renewed = 0 < recipe.replay.renewal < checkpoint.iteration
            reference = open_model(recipe, str(run.renewed_reference if renewed else run.warm_start)).model
        state = cls(run, recipe, loaded, others, reference)
        for part in state._kept:
            part.load(checkpoint.path)
        load_optimiser(checkpoint.path, state.learner.optimiser)
        state.learner.iteration = checkpoint.iteration
        return state

    def save(self) -> None:
        """Make a checkpoint."""
        section = self._recipe.checkpoint
        save_checkpoint(
            self._run.checkpoints, self.learner.iteration, self._write, self.learner.optimiser, section.keep
        )

    def renew_reference(self) -> bool:
        """Let the policy be the reference, if it is time to, and say whether it was; kept apart, for a resumed run to
        go on with."""
        learner = self.learner
        if learner.reference is None or not learner.iteration == self._recipe.replay.renewal > 0:
            return False
        learner.renew_reference()
        save_model(self.loaded.model, self.loaded.tokenizer, self._run.renewed_reference)
        return True

    def _write(self, folder: Path) -> None:
        save_model(self.loaded.model, self.loaded.tokenizer, folder)
        for part in self._kept:
            part.save(folder)
