"""What is read off one finished run of a bench."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from agentgym.core.errors import UsageError
from agentgym.core.trace import Episode
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.results import Record
from agentgym.store.store import Store
from agentgym.training.assembly import open_model
from agentgym.training.evaluations import load_evaluation
from agentgym.training.packing import pack
from agentgym.training.run import Run
from agentgym.training.scoring import score_tokens
from agentgym.training.tokens import TokenTable


class Point(Record):
    """One evaluation on the `select` tasks, at full length whatever the curriculum."""

    iteration: int
    """Finished ones."""
    tokens: float
    """Sampled in training until then."""
    seconds: float
    """Of playing and learning until then; evaluations and saving are left out."""
    success: float


class Measured(Record):
    """One run of a bench in numbers."""

    recipe: str
    seed: int
    curve: tuple[Point, ...]
    heldout: dict[str, float] | None
    """Success rate of each held-out task after training; None where the base recipe has none."""
    heldout_before: float | None
    """Mean success on the held-out tasks before."""
    kl: float | None
    """From the warm start, in nats per token, of the policy that sampled the last iteration; None where it
    sampled nothing."""
    entropy: float
    """Mean over the last iteration's tokens, in nats."""
    clip_share: float
    """Mean over iterations."""
    steps: float
    """Optimiser steps that changed the weights."""
    steps_without_update: float

    @property
    def success(self) -> float | None:
        """Mean success on the held-out tasks after training."""
        return float(np.mean(list(self.heldout.values()))) if self.heldout else None

    @property
    def curve_mean(self) -> float:
        """Mean success along the learning curve over tokens (the area below it): early learning counts."""
        tokens, success = [p.tokens for p in self.curve], [p.success for p in self.curve]
        span = tokens[-1] - tokens[0]
        return float(np.trapezoid(success, tokens)) / span if span > 0 else success[-1]

    def reached(self, threshold: float) -> Point | None:
        """Return where the curve first reaches `threshold`, between evaluations by a straight line."""
        if self.curve[0].success >= threshold:
            return self.curve[0]
        for before, after in zip(self.curve, self.curve[1:], strict=False):
            if after.success >= threshold:
                share = (threshold - before.success) / (after.success - before.success)
                return Point(
                    iteration=after.iteration,
                    tokens=before.tokens + share * (after.tokens - before.tokens),
                    seconds=before.seconds + share * (after.seconds - before.seconds),
                    success=threshold,
                )
        return None


def measure(run: Run, recipe: str) -> Measured:
    """Measure a finished run; raises `UsageError` where it is not."""
    lines = run.lines()
    if len(lines) < run.recipe.iterations:
        raise UsageError(f"The run {run.path} is not finished; go on with the bench.")
    before, after = load_evaluation(run, "before"), load_evaluation(run, "after")
    return Measured(
        recipe=recipe,
        seed=run.recipe.seed,
        curve=_curve(run),
        heldout=None if after is None else _by_task(after),
        heldout_before=None if before is None else before.rate().estimate,
        kl=_divergence(run),
        entropy=lines[-1]["entropy"],
        clip_share=float(np.mean([line["clip_share"] for line in lines])),
        steps=sum(line["steps"] for line in lines),
        steps_without_update=sum(line["steps_without_update"] for line in lines),
    )


def _curve(run: Run) -> tuple[Point, ...]:
    tokens = [0.0, *accumulate(line["sampled_tokens"] for line in run.lines())]
    timing = run.lines("timing.jsonl")
    seconds = [0.0, *accumulate(line["rollout_s"] + line["learn_s"] for line in timing)]
    points: list[Point] = []
    for iteration in range(0, run.recipe.iterations + 1, run.recipe.evaluation.every):
        evaluation = load_evaluation(run, f"select-{iteration:06d}")
        if evaluation is not None:
            points.append(
                Point(
                    iteration=iteration,
                    tokens=tokens[iteration],
                    seconds=seconds[iteration],
                    success=evaluation.rate().estimate,
                )
            )
    return tuple(points)


def _by_task(evaluation: Evaluation) -> dict[str, float]:
    tasks: dict[str, list[bool]] = {}
    for result in evaluation.scored:
        tasks.setdefault(result.task_id, []).append(result.outcome == "success")
    return {task: float(np.mean(solved)) for task, solved in tasks.items()}


def _divergence(run: Run) -> float | None:
    """Estimate KL(policy || warm start) from what the policy sampled last: the mean of the log-ratio."""
    with Store(run.store) as store:
        episodes = list(store.episodes(run.name, iteration=run.recipe.iterations - 1))
    tokens = TokenTable.from_episodes(episodes)
    return _mean_log_ratio(run, episodes, tokens) if len(tokens) else None


def _mean_log_ratio(run: Run, episodes: Sequence[Episode], tokens: TokenTable) -> float:
    recipe = run.recipe
    start = score_tokens(
        open_model(recipe, str(run.warm_start)).model,
        pack(episodes),
        len(tokens),
        temperature=recipe.rollout.temperature,
        tokens_per_microbatch=recipe.tokens_per_microbatch,
    )
    return float((tokens.sampler_logp_N - start.logp_N).mean())
