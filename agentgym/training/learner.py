"""The learner: a model, its optimiser and an objective; learns from a batch of episodes at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy

import torch
from transformers import PreTrainedModel

from agentgym.core.errors import UsageError
from agentgym.core.trace import Episode
from agentgym.rollout.collect import derive_seed
from agentgym.training.losses import PpoClip, TokenMean, TokenRatio
from agentgym.training.packing import pack
from agentgym.training.recipe import OptimiserSection, Recipe
from agentgym.training.schedules import Schedule, Simultaneous
from agentgym.training.step import Objective, Tally, optimiser_step
from agentgym.training.turns import TurnTable, Values


class Learner:
    """Improves `model` in place.

    `objective` (default: PPO's clip on token ratios, all tokens alike) and `schedule` say how;
    `settings` is the optimiser. `iterations` is the length of the
    learning-rate schedule. A reference copy of the model as it is now is kept where a regulariser needs
    one, unless `reference` is given.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        settings: OptimiserSection | None = None,
        objective: Objective | None = None,
        schedule: Schedule | None = None,
        *,
        iterations: int = 100,
        tokens_per_microbatch: int = 16384,
        seed: int = 0,
        reference: PreTrainedModel | None = None,
    ) -> None:
        self.model = model
        self.settings = settings or OptimiserSection()
        self.objective = objective or Objective(TokenRatio(), PpoClip(), (), TokenMean(), temperature=1.0)
        self.schedule = schedule or Simultaneous()
        self.iterations = iterations
        self.tokens_per_microbatch = tokens_per_microbatch
        self.seed = seed
        self.iteration = 0
        """Batches learned from so far."""
        self.optimiser = torch.optim.AdamW(
            model.parameters(),
            lr=self.settings.lr,
            betas=self.settings.betas,
            weight_decay=self.settings.weight_decay,
        )
        self.reference: PreTrainedModel | None = None
        if any(term.needs_reference for term in self.objective.regularisers):
            self.reference = (reference or deepcopy(model)).requires_grad_(False).eval()

    @classmethod
    def from_recipe(
        cls, model: PreTrainedModel, recipe: Recipe, reference: PreTrainedModel | None = None
    ) -> Learner:
        """Build the learner a recipe describes."""
        return cls(
            model,
            recipe.optimiser,
            objective_of(recipe),
            recipe.schedule,
            iterations=recipe.iterations,
            tokens_per_microbatch=recipe.tokens_per_microbatch,
            seed=recipe.seed,
            reference=reference,
        )

    def learn(self, episodes: Sequence[Episode], turns: TurnTable, advantage_R: Values) -> dict[str, float]:
        """Take the schedule's optimiser steps on `episodes` and return the metrics.

        `turns` is their credit table and `advantage_R` has one value per turn, shape (R,). Raises
        `NonFiniteLoss` or `SamplerGap` before the step that would have changed the weights.
        """
        lr = self.learning_rate(self.iteration)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        if not turns.tokens_R.any():
            raise UsageError(
                "No turn of these episodes has a trained token: was the policy one that shows no token ids?"
            )
        rows = pack(episodes)
        tally = Tally()
        self.model.eval()  # dropout would make the trainer another policy than the sampler
        for chosen in self.schedule.steps(turns, derive_seed(self.seed, "schedule", self.iteration)):
            optimiser_step(
                self.model,
                self.reference,
                self.optimiser,
                rows,
                turns,
                chosen,
                advantage_R,
                self.objective,
                grad_clip=self.settings.grad_clip,
                tokens_per_microbatch=self.tokens_per_microbatch,
                tally=tally,
            )
        self.iteration += 1
        return {**tally.metrics(), "lr": lr}

    def learning_rate(self, iteration: int) -> float:
        """Return the learning rate of an iteration, counted from 0."""
        settings = self.settings
        if iteration < settings.warmup:
            return settings.lr * (iteration + 1) / settings.warmup
        if settings.decay == "constant":
            return settings.lr
        span = max(self.iterations - settings.warmup - 1, 1)
        done = min((iteration - settings.warmup) / span, 1.0)
        fall = done if settings.decay == "linear" else (1 - math.cos(math.pi * done)) / 2
        return settings.lr * (1.0 - 0.9 * fall)


def objective_of(recipe: Recipe) -> Objective:
    """Return the parts of a recipe that make the loss."""
    return Objective(
        recipe.ratio,
        recipe.clip,
        recipe.regularisers,
        recipe.aggregation,
        recipe.rollout.temperature,
        recipe.gap_limit,
    )
