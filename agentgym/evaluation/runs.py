"""An evaluation run: a directory that holds everything about one evaluation, so that it can be gone on with.

store.sqlite           its arguments and episodes, and what came of them
evaluation.json        the same figures as a file, once it has ended
failures.jsonl         attempts at episodes that failed by no fault of the agent and were made again
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import Field, JsonValue, ValidationError

from agentgym.core.errors import StoreFault, UnknownNameError, UsageError
from agentgym.core.task import Split
from agentgym.evaluation.keeping import Keeper
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.results import Record
from agentgym.store.folders import STORE_FILE, alone_in, find_run_folder, has_store, make_run_folder
from agentgym.store.store import Store
from agentgym.store.tables import RunRow, RunStatus

KIND = "eval"
RESULT = "evaluation"
"""The name that an evaluation run's own evaluation has in its store."""


class Arguments(Record):
    """What an evaluation was asked for."""

    env_id: str
    """Its id, or the URL at which it is served."""
    split: Split
    policy: str
    """As it is named on the command line."""
    model: str = ""
    agent: str | None = None
    """The kind that acts by the policy."""
    temperature: float = 0.0
    max_tokens: int = 512
    api_key_env: str = "OPENAI_API_KEY"
    """The name of the variable; the key itself is kept nowhere."""
    prices: str | None = None
    requests_per_minute: int | None = None
    tasks: int | None = None
    """Most tasks of each part of the split; null: all."""
    samples: int = 1
    seed: int = 0
    max_turns: int = 50
    token_limit: int | None = None
    time_limit: float | None = None
    cost_limit: float | None = None
    options: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])


class EvaluationRun:
    """The files of one evaluation, by name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(
        cls, arguments: Arguments, root: Path, name: str | None, *, versions: Mapping[str, Any]
    ) -> Self:
        """Make a new run directory under `root`, named by world, policy and time unless `name` is given.

        Raises `UsageError` where it exists.
        """
        world = _named(arguments.env_id.rpartition("/")[2].partition("-v")[0].lower())
        path = root / (name or f"eval-{world}-{_named(arguments.policy)}-{datetime.now():%Y%m%d-%H%M%S-%f}")
        make_run_folder(path, "eval")
        run = cls(path)
        with Store(run.store) as store:
            store.create_run(run.name, KIND, config=arguments.model_dump(mode="json"), versions=versions)
        return run

    @classmethod
    def open(cls, name: str, root: Path = Path("runs")) -> Self:
        """Open an evaluation run by its directory, or by its name under `root`; raises `UnknownNameError`."""
        return cls(find_run_folder(name, root, "evaluation", is_evaluation_run))

    @property
    def name(self) -> str:
        """The directory's name, which is also the run's id in the store."""
        return self.path.resolve().name

    @property
    def store(self) -> Path:
        """The database of arguments, episodes and results."""
        return self.path / STORE_FILE

    @property
    def file(self) -> Path:
        """The result."""
        return self.path / "evaluation.json"

    def arguments(self) -> Arguments:
        """Return what it was asked for; raises `UsageError` where the store does not say."""
        with Store(self.store, create=False) as store:
            row = own_row(store, self)
        try:
            return Arguments.model_validate_json(row.config_json)
        except ValidationError as error:
            reason = str(error).splitlines()[0]
            raise UsageError(
                f"{self.path} is no evaluation of this version of agentgym ({reason})."
            ) from error

    def has_episodes(self) -> bool:
        """Whether anything was played."""
        with Store(self.store, create=False) as store:
            return bool(store.episode_rows(own_row(store, self).id))

    @contextmanager
    def playing(self) -> Generator[Keeper]:
        """Give what keeps the episodes; note in the store how it ended. Raises `UsageError` where another process is at
        it."""
        ending = RunStatus.FAILED
        with alone_in(self.path), Store(self.store, create=False) as store:
            run_id = own_row(store, self).id
            store.set_status(run_id, RunStatus.RUNNING)
            try:
                yield Keeper(store, run_id, self.path / "failures.jsonl")
                ending = RunStatus.FINISHED
            except KeyboardInterrupt:
                ending = RunStatus.INTERRUPTED
                raise
            finally:
                with suppress(StoreFault):  # a full disk is told already
                    store.set_status(run_id, ending)

    def keep(self, evaluation: Evaluation, name: str = RESULT) -> None:
        """Keep what came of it, in the store and as a file."""
        with Store(self.store, create=False) as store:
            store.add_evaluation(own_row(store, self).id, 0, name, evaluation.to_json())
        evaluation.save(self.path / f"{name}.json")


def _named(text: str) -> str:
    """Return a text as a part of a file's name."""
    return "".join(char if char.isalnum() else "-" for char in text).strip("-")[:40]


def is_evaluation_run(path: Path) -> bool:
    """Whether a directory is an evaluation run, and no training run, which has a recipe."""
    return has_store(path) and not (path / "recipe.toml").is_file()


def own_row(store: Store, run: EvaluationRun) -> RunRow:
    """Return the run that a directory's store is about: the only one, whatever the directory is called now."""
    rows = [row for row in store.runs() if row.kind == KIND]
    if len(rows) != 1:
        raise UsageError(
            f"{run.path} holds {len(rows)} evaluations where there is to be one; check the path."
        )
    return rows[0]


def load_evaluation(name: str, root: Path = Path("runs")) -> Evaluation:
    """Return the evaluation called `name`: a JSON file, an evaluation run, or a training run's own.

    A training run's is `RUN` for the one after training, or `RUN:before`, `RUN:select-000010`, ...; an evaluation
    run's other ones, such as `RUN:rescored`, are named likewise. Raises `UnknownNameError` and `UsageError`.
    """
    if name.endswith(".json"):
        return Evaluation.load(name)
    named, _, part = name.rpartition(":") if ":" in name else (name, "", "")
    path = find_run_folder(named, root)
    if is_evaluation_run(path):
        return _load(path, part or RESULT, path)
    return _load(path / "evaluations", part or "after", path)


def _load(folder: Path, name: str, run: Path) -> Evaluation:
    names: Sequence[str] = [path.stem for path in sorted(folder.glob("*.json"))]
    if name not in names:
        unfinished = folder == run and RESULT not in names
        advice = f"Go on with it: `agentgym eval --resume {run}`." if unfinished else ""
        raise UnknownNameError(f"evaluation of {run}", name, names, advice)
    return Evaluation.load(folder / f"{name}.json")
