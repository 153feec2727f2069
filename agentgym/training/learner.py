"""The learner: a model, its optimiser and an objective; learns from a batch of episodes at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import torch
from transformers import PreTrainedModel

from agentgym.core.errors import UsageError
from agentgym.core.trace import Episode
from agentgym.rollout.collect import derive_seed
from agentgym.store.lessons import Lesson
from agentgym.training.change import PolicyChange
from agentgym.training.losses.objective import Objective
from agentgym.training.metrics import teaching_metrics
from agentgym.training.offending import check_turns
from agentgym.training.packing import Row, pack
from agentgym.training.proximal import Average, Reference
from agentgym.training.proximal_average import ProximalAverage
from agentgym.training.recipe import OptimiserSection, Recipe
from agentgym.training.scoring import Scores, score_tokens
from agentgym.training.shaping.base import Progress
from agentgym.training.side_task import SideRows, SideTasks
from agentgym.training.step import Batch, Limits, SamplerGap, optimiser_step
from agentgym.training.tally import Tally
from agentgym.training.teachers.base import Tutor
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import TurnTable, Values
from agentgym.training.update import Update
from agentgym.training.used import UsedTokens


class Learner:
    """Improves `model` in place.

    `update` says how (default: PPO's clip on token ratios, all tokens alike, one step); `settings` is the
    optimiser. `iterations` is the length of the learning-rate schedule. A reference copy of the model as
    it is now is kept where a part needs one, unless `reference` is given. `tutor` is the teacher of the parts
    that ask one, and `side` what is learned besides acting.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        settings: OptimiserSection | None = None,
        update: Update | None = None,
        *,
        iterations: int = 100,
        tokens_per_microbatch: int = 16384,
        seed: int = 0,
        reference: PreTrainedModel | None = None,
        tutor: Tutor | None = None,
        side: SideTasks | None = None,
    ) -> None:
        self.model = model
        self.tutor = tutor
        self.side = side
        self.settings = settings or OptimiserSection()
        self.update = update or Update()
        self.iterations = iterations
        self.limits = Limits(self.settings.grad_clip, tokens_per_microbatch)
        self.seed = seed
        self.iteration = 0
        """Batches learned from so far."""
        self.lessons: list[Lesson] = []
        """What the last update made of each of its episodes."""
        self.optimiser = torch.optim.AdamW(
            model.parameters(),
            lr=self.settings.lr,
            betas=self.settings.betas,
            weight_decay=self.settings.weight_decay,
        )
        self.reference: PreTrainedModel | None = None
        if "reference" in self.update.needs:
            self.reference = (reference or deepcopy(model)).requires_grad_(False).eval()
        part = self.update.proximal
        self.average = ProximalAverage(part, model) if isinstance(part, Average) else None
        """The proximal policy, where it is an average."""

    @classmethod
    def from_recipe(
        cls,
        model: PreTrainedModel,
        recipe: Recipe,
        reference: PreTrainedModel | None = None,
        tutor: Tutor | None = None,
        side: SideTasks | None = None,
    ) -> Learner:
        """Build the learner a recipe describes."""
        return cls(
            model,
            recipe.optimiser,
            Update.of(recipe),
            iterations=recipe.iterations,
            tokens_per_microbatch=recipe.tokens_per_microbatch,
            seed=recipe.seed,
            reference=reference,
            tutor=tutor,
            side=side,
        )

    def learn(
        self,
        episodes: Sequence[Episode],
        turns: TurnTable,
        advantage_R: Values,
        guided: Sequence[bool] | None = None,
    ) -> dict[str, float]:
        """Take the schedule's optimiser steps on `episodes` and return the metrics.

        `turns` is their credit table and `advantage_R` has one value per turn, shape (R,). `guided` tells
        the episodes that another policy played. Episodes without
        a trained token are a step without update. Raises `NonFiniteLoss` or `SamplerGap` before the step
        that would have changed the weights.
        """
        if episodes and not any(episode.sampled_tokens for episode in episodes):
            raise UsageError(
                "No turn of these episodes has a token: was the policy one that shows no token ids?"
            )
        check_turns(episodes, turns, advantage_R)
        lr = self.learning_rate(self.iteration) * self.update.schedule.step_scale
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.model.eval()  # dropout would make the trainer another policy than the sampler
        taught: dict[str, float] = {}
        self.lessons = []
        if turns.tokens_R.any():
            batch = self._batch(episodes, turns, advantage_R, guided)
            taught = teaching_metrics(batch.tokens)
            tally = self._take_all_steps(batch)
            if batch.used is not None:
                self.lessons = batch.used.lessons(batch.episodes, self.iteration, turns, advantage_R)
        else:
            tally = Tally(steps_without_update=1)
        self.iteration += 1
        if self.tutor is not None:
            self.tutor.learned()
        average = {} if self.average is None else self.average.metrics()
        return {**tally.metrics(), **average, **taught, "lr": lr}

    def renew_reference(self) -> None:
        """Let the policy as it is now be the reference, where there is one."""
        if self.reference is not None:
            self.reference = deepcopy(self.model).requires_grad_(False).eval()

    def _take_all_steps(self, batch: Batch) -> Tally:
        """Take the schedule's steps; where the sampler's gap stops the first one, correct for it if told to."""
        objective, tally = self.update.objective, Tally()
        try:
            self._take_steps(batch, objective, tally)
        except SamplerGap:
            if self.update.gap_action == "stop":
                raise
            tally = Tally(gap_corrected=True)
            self._take_steps(self._with_proximal(batch), objective.corrected(), tally)
        return tally

    def _take_steps(self, batch: Batch, objective: Objective, tally: Tally) -> None:
        change = PolicyChange(
            batch,
            self.update.schedule.name,
            lambda rows: self.score(self.model, rows, len(batch.tokens)).logp_N,
        )
        seed = derive_seed(self.seed, "schedule", self.iteration)
        for step in self.update.schedule.steps(batch.turns, seed, change.log_ratios):
            before = len(tally.grad_norms)
            logp_N = optimiser_step(self.model, self.optimiser, batch, step, objective, self.limits, tally)
            moved = len(tally.grad_norms) > before
            change.note(step, logp_N, moved=moved)
            if self.average is not None and moved:
                self.average.update(self.model)

    def _with_proximal(self, batch: Batch) -> Batch:
        """Return a batch whose proximal policy is one that the trainer has scored."""
        if batch.tokens.proximal_logp_N is not None:
            return batch
        own = self.score(self.model, batch.rows, len(batch.tokens))
        return replace(batch, tokens=replace(batch.tokens, proximal_logp_N=own.logp_N))

    def _batch(
        self,
        episodes: Sequence[Episode],
        turns: TurnTable,
        advantage_R: Values,
        guided: Sequence[bool] | None,
    ) -> Batch:
        """Pack the episodes, fill the columns that are asked for, and give each token its advantage."""
        rows = pack(episodes)
        tokens = self._scored(TokenTable.from_episodes(episodes, guided), rows)
        lesson = None if self.tutor is None else self.tutor.lesson(episodes, tokens)
        if lesson is not None and "teacher" in self.update.needs:
            tokens = replace(tokens, teacher_logp_N=lesson.logp())
        advantage_N = advantage_R[tokens.turn_N]
        for part in self.update.shaping:
            advantage_N = part(advantage_N, tokens, turns, Progress(self.iteration, self.iterations))
        return Batch(
            turns,
            tokens,
            rows,
            advantage_N,
            lesson,
            iteration=self.iteration,
            episodes=[episode.id for episode in episodes],
            side=SideRows() if self.side is None else self.side.rows(episodes),
            used=UsedTokens.of(advantage_N),
        )

    def _scored(self, tokens: TokenTable, rows: Sequence[Row]) -> TokenTable:
        """Fill the columns that are asked for."""
        update = self.update
        scored = update.proximal.scored or "proximal" in update.needs
        if self.average is not None:
            proximal = self.score(self.average.model, rows, len(tokens))
            tokens = replace(tokens, proximal_logp_N=proximal.logp_N)
            if scored := self.average.strayed(tokens):
                self.average.restart(self.model)
        if scored or update.reads_entropy:
            own = self.score(self.model, rows, len(tokens))
            proximal_logp_N = own.logp_N if scored else tokens.proximal_logp_N
            tokens = replace(tokens, proximal_logp_N=proximal_logp_N, entropy_N=own.entropy_N)
        if self.reference is not None:
            tokens = replace(tokens, reference_logp_N=self.score(self.reference, rows, len(tokens)).logp_N)
        if isinstance(update.proximal, Reference):
            tokens = replace(tokens, proximal_logp_N=tokens.reference_logp_N)
        return tokens

    def score(self, model: PreTrainedModel, rows: Sequence[Row], count: int) -> Scores:
        """Score the trained tokens of `rows` by a model; `count` is the length of their token table."""
        return score_tokens(
            model,
            rows,
            count,
            temperature=self.update.objective.temperature,
            tokens_per_microbatch=self.limits.tokens_per_microbatch,
        )

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
