"""Carrying out a bench: what is done is not done again.

warm_start/                  the weights that every run starts from
runs/gigpo-seed0/ ...        ordinary runs
objectives.md, .json, .png   the results
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence

from agentgym.core.errors import UsageError
from agentgym.policies.models import save_model
from agentgym.training.assembly import initial_model
from agentgym.training.bench.compare import Row, table, threshold_of
from agentgym.training.bench.measure import Measured, measure
from agentgym.training.bench.plan import Plan, describe, label_of, runs_of
from agentgym.training.bench.plot import plot_curves
from agentgym.training.bench.report import as_markdown
from agentgym.training.evaluations import load_evaluation
from agentgym.training.progress import Progress
from agentgym.training.recipe import Recipe
from agentgym.training.run import Run, installed_versions
from agentgym.training.trainer import Trainer

BEGINNING = ("before", "select-000000")
"""Evaluations of the warm start, which are the same for every recipe of a seed."""


class Bench:
    """Trains what is left of a plan, and compares."""

    def __init__(self, plan: Plan, progress: Progress, threshold: float | None = None) -> None:
        self.plan = plan
        self._progress = progress
        self._threshold = threshold

    def carry_out(self) -> list[Row]:
        """Train every recipe with every seed and return the table; it is written to `plan.out` too.

        Raises `UsageError` or `ConfigError` before any training where a recipe does not fit, or where
        `plan.out` has runs of another plan.
        """
        recipes = {(source, seed): self.plan.recipe(source, seed) for source, seed in runs_of(self.plan)}
        runs = {key: self._run(key, recipe) for key, recipe in recipes.items()}
        self._make_warm_start()
        for done, (key, run) in enumerate(runs.items()):
            self._progress.say(f"{run.name}: {done + 1} of {len(runs)}")
            if not _finished(run):
                self._train(run, runs[self.plan.recipes[0], key[1]])
        measured = {
            label_of(source): [self._measured(runs[source, seed], source) for seed in self.plan.seeds]
            for source in self.plan.recipes
        }
        return self._write(measured)

    def _run(self, key: tuple[str, int], recipe: Recipe) -> Run:
        """Open or make the directory of a run; nothing is trained yet."""
        source, seed = key
        root, name = self.plan.out / "runs", f"{label_of(source)}-seed{seed}"
        if not (root / name / "recipe.toml").is_file():
            shutil.rmtree(root / name, ignore_errors=True)  # stopped while it was made
            return Run.create(recipe, root, name)
        run = Run(root / name)
        if run.recipe != recipe:
            raise UsageError(
                f"{run.path} was made with other settings than this bench has; choose another --out, or "
                "remove that run to train it anew."
            )
        return run

    def _make_warm_start(self) -> None:
        """Make the model that all start from, unless it is given or there already."""
        start = self.plan.start
        if self.plan.warm_start and not start.is_dir():
            raise UsageError(f"There is no model directory {start}; give another --warm-start.")
        if start.is_dir():
            return
        loaded = initial_model(self.plan.base_recipe(), self._progress)
        partial = start.with_name(".warm_start.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_model(loaded.model, loaded.tokenizer, partial)
        partial.rename(start)

    def _train(self, run: Run, first: Run) -> None:
        for name in BEGINNING:
            if first.evaluation(name).is_file() and not run.evaluation(name).is_file():
                shutil.copyfile(first.evaluation(name), run.evaluation(name))
        Trainer(run, self._progress).train()

    def _measured(self, run: Run, source: str) -> Measured:
        """Return the run's measures, kept beside it for the next time."""
        kept = run.path / "measured.json"
        if kept.is_file():
            return Measured.model_validate_json(kept.read_text("utf-8"))
        measured = measure(run, label_of(source))
        kept.write_text(measured.model_dump_json(indent=2) + "\n", "utf-8")
        return measured

    def _write(self, measured: Mapping[str, Sequence[Measured]]) -> list[Row]:
        threshold = self._threshold
        if threshold is None:
            threshold = threshold_of(next(iter(measured.values())))
        rows, out, versions = table(measured, threshold), self.plan.out, installed_versions()
        results = {
            "plan": describe(self.plan),
            "versions": versions,
            "threshold": threshold,
            "table": [row.model_dump(mode="json") for row in rows],
            "runs": [run.model_dump(mode="json") for runs in measured.values() for run in runs],
        }
        (out / "objectives.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")
        (out / "objectives.md").write_text(as_markdown(self.plan, rows, threshold, versions), "utf-8")
        plot_curves(measured, threshold, out / "objectives.png")
        return rows


def _finished(run: Run) -> bool:
    recipe = run.recipe
    evaluated = not recipe.evaluation.heldout_tasks or load_evaluation(run, "after") is not None
    return evaluated and (run.checkpoints / f"{recipe.iterations:06d}").is_dir()
