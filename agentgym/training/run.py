"""A run: a directory that holds everything about one training.

recipe.toml            the resolved recipe
versions.json          agentgym, Python and the libraries that made the numbers
metrics.jsonl          one line per iteration; the same seed gives the same file
timing.jsonl           seconds and rates of each iteration
store.sqlite           episodes, turns and metrics
library.sqlite         the memory, where the recipe has one
warm_start/            the model before reinforcement
checkpoints/           see `agentgym.training.checkpoint`
evaluations/           before.json, after.json, and select-000010.json ...
learning_curve.png
tensorboard/           the metrics and timing once more, for TensorBoard
wandb/                 the metrics once more, for Weights & Biases, where the recipe wants it
offending/             the micro-batch that stopped the run, where a number was none
failures.jsonl         attempts at episodes that failed by no fault of the agent and were played again
stalls/                the stacks of every thread and task, where rollouts stood still
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from agentgym.registry import recordable
from agentgym.store.folders import STORE_FILE, find_run_folder, make_run_folder
from agentgym.training.recipe import Recipe, load_recipe

_LIBRARIES = ("agentgym-harness", "torch", "transformers", "tokenizers", "gymnasium", "numpy")


class Run:
    """The files of one run, by name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, recipe: Recipe, root: Path, name: str | None = None) -> Run:
        """Make a new run directory under `root`, named by recipe and time unless `name` is given.

        Raises `UsageError` where it exists, and where the environment's URL has a token in it, which would be kept.
        """
        recordable(recipe.environment.id)
        label = name or f"{recipe.name}-{datetime.now():%Y%m%d-%H%M%S}"
        path = root / label
        make_run_folder(path, "train")
        (path / "recipe.toml").write_text(recipe.to_toml(), "utf-8")
        (path / "versions.json").write_text(json.dumps(installed_versions(), indent=2) + "\n", "utf-8")
        (path / "evaluations").mkdir()
        return cls(path)

    @classmethod
    def open(cls, name: str | Path, root: Path = Path("runs"), also: Sequence[str] = ()) -> Run:
        """Open a run by its directory, or by its name under `root`.

        Raises `UnknownNameError`; `also` are names that would have been understood besides runs.
        """
        return cls(
            find_run_folder(name, root, is_one=lambda path: (path / "recipe.toml").is_file(), also=also)
        )

    @property
    def name(self) -> str:
        """The directory's name, which is also the run's id in the store."""
        return self.path.name

    @cached_property
    def recipe(self) -> Recipe:
        """The resolved recipe the run was made with."""
        return load_recipe(self.path / "recipe.toml")

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are."""
        return self.path / "checkpoints"

    @property
    def library(self) -> Path:
        """The memory that it shows its policy."""
        return self.path / "library.sqlite"

    @property
    def warm_start(self) -> Path:
        """The model before reinforcement."""
        return self.path / "warm_start"

    @property
    def renewed_reference(self) -> Path:
        """The policy that became the reference on the way, where the recipe has one do so."""
        return self.path / "renewed_reference"

    @property
    def store(self) -> Path:
        """The database of episodes and metrics."""
        return self.path / STORE_FILE

    @property
    def learning_curve(self) -> Path:
        """The picture."""
        return self.path / "learning_curve.png"

    @property
    def curves(self) -> Path:
        """Where TensorBoard finds the metrics."""
        return self.path / "tensorboard"

    @property
    def wandb(self) -> Path:
        """Where Weights & Biases keeps its files, and we the id that it knows the run by."""
        return self.path / "wandb"

    @property
    def offending(self) -> Path:
        """Where the micro-batch goes in which a number is none."""
        return self.path / "offending"

    @property
    def stalls(self) -> Path:
        """Where stacks go when the rollouts stand still."""
        return self.path / "stalls"

    def evaluation(self, name: str) -> Path:
        """Where the evaluation called `name` is kept."""
        return self.path / "evaluations" / f"{name}.json"

    def append(self, file: str, iteration: int, values: Mapping[str, float]) -> None:
        """Add one iteration's line to `metrics.jsonl` or `timing.jsonl`, and sync it to disk."""
        with (self.path / file).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"iteration": iteration, **values}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def lines(self, file: str = "metrics.jsonl") -> list[dict[str, float]]:
        """Return the lines of `metrics.jsonl` or `timing.jsonl`; a half-written last line is left out."""
        path = self.path / file
        if not path.is_file():
            return []
        lines: list[dict[str, float]] = []
        for line in path.read_text("utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
        return lines

    def forget_from(self, iteration: int) -> None:
        """Drop the lines of this iteration and later ones, which a resumed run will write again."""
        for file in ("metrics.jsonl", "timing.jsonl"):
            kept = [line for line in self.lines(file) if line["iteration"] < iteration]
            if (self.path / file).is_file():
                partial = self.path / f".{file}.partial"
                partial.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")
                partial.replace(self.path / file)


def installed_versions() -> dict[str, Any]:
    """Return the versions of Python and of the libraries that make the numbers."""
    found: dict[str, Any] = {"python": platform.python_version(), "platform": platform.platform()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = None
    return found
