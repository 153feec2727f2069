"""`agentgym export` and `agentgym rescore`: what can be done with episodes that are kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentgym.cli.console import console, print_json
from agentgym.cli.options import AsJson, RunsRoot, prepare_output
from agentgym.core.errors import ConfigError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from agentgym.core.trace import Episode
    from agentgym.evaluation.rescore import Scorer
    from agentgym.evaluation.runs import Arguments
    from agentgym.store.exports.source import Source
    from agentgym.store.store import Store
    from agentgym.store.tables import RunRow


class Format(StrEnum):
    """What episodes are exported as."""

    ATIF = "atif"
    JSONL = "jsonl"
    PARQUET = "parquet"
    INSPECT = "inspect"
    WANDB = "wandb"


_ENDINGS = {Format.JSONL: ".jsonl", Format.PARQUET: ".parquet", Format.INSPECT: ".eval"}
"""Of those that are files; the others are folders."""


def export(
    run: Annotated[str, typer.Argument(help="A run's directory, or its name in the folder of --runs.")],
    format: Annotated[
        Format,
        typer.Option(
            "--format",
            help="atif: a folder of trajectories; inspect: a log for `inspect view`; wandb: a folder of curves for "
            "`wandb sync`.",
        ),
    ] = Format.JSONL,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The file, or the folder for atif and wandb. Default: RUN.FORMAT."),
    ] = None,
    phase: Annotated[
        str | None, typer.Option("--phase", help="Episodes of one phase: train, eval, ...")
    ] = None,
    runs: RunsRoot = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Write a run's episodes, or for wandb its curves, in the format of other tools.

    Example: agentgym export reference --format parquet --out reference.parquet
    """
    from agentgym.store.folders import find_run_folder

    path = find_run_folder(run, runs)
    target = out or Path(f"{path.name}{_ENDINGS.get(format, f'.{format}')}")
    if format in _ENDINGS:
        prepare_output(target)
        if target.suffix != _ENDINGS[format]:
            raise UsageError(f"A file of format {format} ends in {_ENDINGS[format]}, got {target}.")
    elif target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is there already; name an empty folder.")
    from agentgym.store.store import Store

    with Store(path / "store.sqlite", create=False) as store:
        row = _only(store, path)
        with _whole(target) as unfinished:
            count = _write(store, row, format, unfinished, phase, path)
    if as_json:
        print_json({"run": row.id, "format": format.value, "out": str(target), "episodes": count})
        return
    console().print(f"{count:,} episodes written to {target}.", markup=False, soft_wrap=True)


def rescore(
    run: Annotated[
        str, typer.Argument(help="An evaluation: its directory, or its name in the folder of --runs.")
    ],
    scorer: Annotated[
        str | None,
        typer.Option(
            "--scorer",
            metavar="MODULE:FUNCTION",
            help="A function of an episode. Default: its environment judges the recorded actions again.",
        ),
    ] = None,
    runs: RunsRoot = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Judge the kept episodes of an evaluation again, without playing them, and compare with before.

    The result is kept beside the first as RUN:rescored.

    Example: agentgym rescore good
    """
    from agentgym.cli.bars import counted
    from agentgym.evaluation.compare import compare
    from agentgym.evaluation.rescore import rescored
    from agentgym.evaluation.runs import EvaluationRun, load_evaluation, own_row
    from agentgym.evaluation.tables import changed_tasks, comparison_table, evaluation_table
    from agentgym.store.store import Store

    opened = EvaluationRun.open(run, runs)
    before, arguments = load_evaluation(str(opened.path)), opened.arguments()
    with Store(opened.store, create=False) as store, closing(_Judge(scorer, arguments)) as judge:
        run_id = own_row(store, opened).id
        episodes = counted(store.episodes(run_id), sum(store.phases(run_id).values()), "episodes")
        after = rescored(before, episodes, judge.scorer, scorer or "")
    opened.keep(after, "rescored")
    comparison = compare(before, after)
    if as_json:
        print_json({**after.to_data(), "comparison": comparison.to_data()})
        return
    out = console()
    out.print(evaluation_table(after))
    out.print(comparison_table(comparison))
    out.print(changed_tasks(comparison))
    out.print(f"Kept as {opened.path}:rescored.", markup=False, soft_wrap=True)


class _Judge:
    """The scorer that is asked for, with the environment that it needs."""

    def __init__(self, name: str | None, arguments: Arguments) -> None:
        from agentgym.evaluation.rescore import by_playing
        from agentgym.registry import make

        self._env = None if name else make(arguments.env_id, arguments.split, **arguments.options)
        self.scorer: Scorer = _function(name) if name else by_playing(self._env)  # pyright: ignore[reportArgumentType]

    def close(self) -> None:
        if self._env is not None:
            self._env.close()


def _function(name: str) -> Any:
    """Import a function by `module:function`, from the working directory too."""
    import sys
    from importlib import import_module

    module, _, function = name.partition(":")
    if not module or not function:
        raise UsageError(f"--scorer takes MODULE:FUNCTION, got {name!r}.")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(import_module(module), function, None)
    except ImportError as error:
        raise UsageError(f"Cannot import the scorer {name}: {error}.") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    if not callable(found):
        raise UsageError(f"{module} has no function {function!r} to score with.")
    return found


@contextmanager
def _whole(target: Path) -> Generator[Path]:
    """Give where to write; it becomes `target` when all of it is there, and goes where something went wrong."""
    unfinished = target.with_name(f".{target.name}.part")
    _remove(unfinished)  # of one that was killed
    try:
        yield unfinished
    except BaseException:
        _remove(unfinished)
        raise
    if target.is_dir():
        target.rmdir()  # an empty one: anything else was refused
    unfinished.replace(target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _only(store: Store, path: Path) -> RunRow:
    rows = store.runs()
    if len(rows) != 1:
        raise UsageError(f"{path} holds {len(rows)} runs where there is to be one; check the path.")
    return rows[0]


def _write(store: Store, row: RunRow, format: Format, target: Path, phase: str | None, path: Path) -> int:
    from agentgym.cli.bars import counted

    counts = store.phases(row.id)
    if phase is not None and phase not in counts:
        raise UnknownNameError("phase", phase, sorted(counts))
    if not counts:
        raise UsageError(f"The run {path} has no episodes yet.")

    def episodes() -> Iterator[Episode]:
        found = store.episodes(row.id) if phase is None else store.episodes(row.id, phase=phase)
        return counted(found, sum(counts.values()) if phase is None else counts[phase], "episodes")

    source = _source(row, path)
    match format:
        case Format.ATIF:
            from agentgym.store.exports.atif import write_atif

            return write_atif(episodes(), target, source)
        case Format.JSONL:
            from agentgym.store.exports.lines import write_lines

            return write_lines(episodes(), target, source)
        case Format.PARQUET:
            from agentgym.store.exports.parquet import write_parquet

            return write_parquet(episodes(), target, source)
        case Format.INSPECT:
            from agentgym.store.exports.inspect_log import write_inspect_log

            metrics, ended = _figures(store, row, episodes())
            return write_inspect_log(episodes(), target, source, metrics=metrics, completed=ended)
        case Format.WANDB:
            from agentgym.evaluation.history import run_history, run_summary
            from agentgym.store.exports.wandb_log import write_wandb

            try:
                write_wandb(
                    run_history(store, row.id),
                    target,
                    run=row.id,
                    config=json.loads(row.config_json),
                    summary=run_summary(store, row.id),
                )
            except ImportError as error:
                raise ConfigError(
                    "Weights & Biases needs the package wandb: pip install 'agentgym-harness[wandb]'."
                ) from error
            return sum(counts.values())


def _source(row: RunRow, path: Path) -> Source:
    from agentgym.store.exports.source import Source

    config: dict[str, Any] = json.loads(row.config_json)
    agent = config.get("agent") if row.kind == "eval" else None
    name = str(config.get("policy") or config.get("name") or path.name)
    return Source(
        run=row.id,
        agent=f"{agent} of {name}" if isinstance(agent, str) else name,
        model=str(config.get("model") or "") if row.kind == "eval" else "",
        created=row.created,
        versions=json.loads(row.versions_json),
    )


def _figures(store: Store, row: RunRow, episodes: Iterator[Episode]) -> tuple[dict[str, float], str]:
    """Return success over tasks with its standard error, and when the last evaluation ended."""
    from agentgym.evaluation.rates import success_rate
    from agentgym.evaluation.results import EpisodeResult

    results = [EpisodeResult.from_episode(episode, 0) for episode in episodes if episode.outcome.scored]
    ended = [evaluation.created for evaluation in store.evaluations(row.id)]
    if not results:
        return {}, ended[-1] if ended else row.created
    rate = success_rate(results)
    stderr = {} if rate.standard_error is None else {"stderr": rate.standard_error}
    return {"accuracy": rate.estimate, **stderr}, ended[-1] if ended else row.created
