"""What `agentgym eval` does: opens the players, plays, keeps, shows."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.progress import Progress, TaskID

from agentgym.cli.bars import bars
from agentgym.cli.console import console, error_console
from agentgym.cli.policies import EndpointOptions, Player, open_player
from agentgym.core.errors import UsageError
from agentgym.core.task import Split
from agentgym.evaluation.compare import Comparison, compare
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.runner import Allowance, evaluate
from agentgym.evaluation.runs import Arguments, EvaluationRun
from agentgym.evaluation.tables import comparison_table, evaluation_table
from agentgym.policies.spending import Prices
from agentgym.registry import find_spec, recordable, registered
from agentgym.rollout.monitor import Monitor

MAX_TURNS = 50
"""Where no run says how many turns it was trained with."""
EVERY = "all"
"""The name of all suites together."""


class Played(NamedTuple):
    """An evaluation and where it came from."""

    run: EvaluationRun
    player: Player
    evaluation: Evaluation


class _Asked(NamedTuple):
    """One evaluation that is to be played, with who is to play it."""

    arguments: Arguments
    player: Player


def make_arguments(
    suites: Sequence[str],
    split: str,
    players: Sequence[tuple[str, str]],
    max_turns: int | None,
    options: Mapping[str, Any],
    shared: Mapping[str, Any],
) -> list[list[Arguments]]:
    """Return what is to be played, a list of the players for each suite; `players` are policies and their models.

    `max_turns` of None is 0 here: the run's own, once it is opened.
    """
    names = list(registered()) if EVERY in suites else list(map(_known, suites))
    told = {"split": Split.parse(split), "max_turns": max_turns or 0, "options": to_jsonable_python(options)}
    return [
        [Arguments(env_id=env, policy=policy, model=model, **told, **shared) for policy, model in players]
        for env in names
    ]


def begin(
    asked: Sequence[Sequence[Arguments]], root: Path, name: str | None, concurrency: int
) -> list[list[Played]]:
    """Play every suite with every player, each in a run directory of its own."""
    from agentgym.training.run import installed_versions

    if name is not None and (Path(name).name != name or len(asked) > 1):
        raise UsageError(f"--name is the name of one directory for one suite, got {name!r}; see --runs.")
    opened = [_opened(players, root) for players in asked]
    found: list[list[Played]] = []
    for suite in opened:
        found.append([])
        for place, one in enumerate(suite):
            own = f"{name}-against" if name is not None and place else name
            run = EvaluationRun.create(one.arguments, root, own, versions=installed_versions())
            try:
                found[-1].append(_play(run, one, concurrency))
            except UsageError:
                if not run.has_episodes():  # what was asked for cannot be
                    shutil.rmtree(run.path)
                raise
    return found


def go_on(name: str, root: Path, concurrency: int, cost_limit: float | None) -> Played:
    """Play what is left of an evaluation; a new `cost_limit` takes the place of the one it had."""
    run = EvaluationRun.open(name, root)
    arguments = run.arguments()
    if cost_limit is not None:
        arguments = arguments.model_copy(update={"cost_limit": cost_limit})
    return _play(run, _Asked(arguments, _player(arguments, root)), concurrency)


def show(players: Sequence[Played]) -> None:
    """Print the evaluations of one suite, their comparison where there are two, and where they are kept."""
    out = console()
    for played in players:
        out.print(evaluation_table(played.evaluation))
    if (comparison := _comparison(players)) is not None:
        out.print(comparison_table(comparison))
    out.print(_conditions(players[0].evaluation), markup=False)
    for played in players:
        _say_where(out, played)
    sections = [played.player.trained_in for played in players if played.player.trained_in is not None]
    if any(section != sections[0] for section in sections):
        out.print("The two runs were trained under other conditions than each other.", style="yellow")


def to_data(found: Sequence[Sequence[Played]]) -> list[dict[str, Any]]:
    """Return everything as JSON data: for each suite its evaluations, and their comparison or null."""
    return [
        {
            "evaluations": [{"run": str(one.run.path), **one.evaluation.to_data()} for one in players],
            "comparison": None if (told := _comparison(players)) is None else told.to_data(),
        }
        for players in found
    ]


def _opened(players: Sequence[Arguments], root: Path) -> list[_Asked]:
    """Open the players of a suite, all of which play in what a run among them was trained in."""
    opened = [_player(arguments, root) for arguments in players]
    sections = [player.trained_in for player in opened if player.trained_in is not None]
    options: dict[str, Any] = to_jsonable_python(dict(sections[0].options)) if sections else {}
    turns = sections[0].max_turns if sections else MAX_TURNS
    return [
        _Asked(
            arguments.model_copy(
                update={
                    "options": {**options, **arguments.options},
                    "max_turns": arguments.max_turns or turns,
                }
            ),
            player,
        )
        for arguments, player in zip(players, opened, strict=True)
    ]


def _known(name: str) -> str:
    """Return the id of an environment; a URL stays one."""
    spec = find_spec(recordable(name))
    return name if "://" in name else spec.id


def _player(arguments: Arguments, root: Path) -> Player:
    return open_player(
        arguments.policy,
        find_spec(arguments.env_id).id,
        arguments.temperature,
        root,
        model=arguments.model,
        options=EndpointOptions(
            arguments.api_key_env, arguments.prices, arguments.requests_per_minute, arguments.max_tokens
        ),
        agent=arguments.agent,
    )


def _play(run: EvaluationRun, asked: _Asked, concurrency: int) -> Played:
    arguments, player = asked
    try:
        with ExitStack() as stack:
            bar = stack.enter_context(bars(error_console()))
            task = bar.add_task(player.agent.name, total=None, note="")
            keeper = stack.enter_context(run.playing())
            evaluation = asyncio.run(
                evaluate(
                    find_spec(arguments.env_id),
                    player.agent,
                    arguments.split,
                    tasks=arguments.tasks,
                    samples=arguments.samples,
                    seed=arguments.seed,
                    max_turns=arguments.max_turns,
                    allowance=Allowance(
                        arguments.token_limit,
                        arguments.time_limit,
                        arguments.cost_limit,
                        Prices.parse(arguments.prices) if arguments.prices is not None else None,
                    ),
                    options=arguments.options,
                    trained=player.learned_from if arguments.split is Split.HELDOUT else (),
                    concurrency=concurrency,
                    rules=player.rules,
                    monitor=_monitor(bar, task),
                    keeper=keeper,
                    on_progress=lambda _, done, total: bar.update(task, completed=done, total=total),
                )
            )
    except KeyboardInterrupt:
        _say_how_to_resume(run)
        raise
    run.keep(evaluation)
    if evaluation.missing:
        _say_how_to_resume(run)
    return Played(run, player, evaluation)


def _comparison(players: Sequence[Played]) -> Comparison | None:
    return compare(players[1].evaluation, players[0].evaluation) if len(players) > 1 else None


def _conditions(evaluation: Evaluation) -> str:
    options = ", ".join(f"{key} = {value!r}" for key, value in evaluation.options.items())
    limits = [f"At most {evaluation.max_turns} turns"]
    if evaluation.token_limit is not None:
        limits.append(f"{evaluation.token_limit:,} tokens")
    if evaluation.time_limit is not None:
        limits.append(f"{evaluation.time_limit:g} seconds")
    return f"{', '.join(limits)}; environment options: {options or 'none'}."


def _say_where(out: Console, played: Played) -> None:
    endpoint = played.player.endpoint
    if endpoint is not None:
        spent = endpoint.usage.told(endpoint.settings.prices)
        out.print(f"{played.player.agent.name}: {spent}.", markup=False)
    out.print(f"Kept in {played.run.path}.", markup=False, soft_wrap=True)


def _say_how_to_resume(run: EvaluationRun) -> None:
    command = f"agentgym eval --resume {quote(str(run.path))}"
    error_console().print(
        f"Finished episodes are safe. Go on with:\n  {command}", markup=False, soft_wrap=True
    )


def _monitor(bar: Progress, task: TaskID) -> Monitor:
    """Return a monitor that shows beside the bar how fast it goes, and says what an operator should know."""

    def say(line: str) -> None:
        bar.console.print(line, markup=False, soft_wrap=True)

    return Monitor(on_figures=lambda figures: bar.update(task, note=figures.line), say=say)
