"""`agentgym compare`, `power` and `leaderboard`: what evaluations tell, and what they could."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentgym.cli.console import console, print_json, working
from agentgym.cli.options import AsJson, EnvOptions, RunsRoot, SplitName, parse_options, prepare_output
from agentgym.cli.servers import tell

_Evaluation = typer.Argument(
    help="An evaluation: a run, RUN:before and the like of a training run, or a JSON file.",
    show_default=False,
)


def compare(
    before: Annotated[str, _Evaluation],
    after: Annotated[str, _Evaluation],
    runs: RunsRoot = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Tell whether the second of two evaluations is better, by the tasks and seeds that both played.

    Example: agentgym compare reference:before reference:after
    """
    from agentgym.evaluation.compare import compare as compare_evaluations
    from agentgym.evaluation.runs import load_evaluation
    from agentgym.evaluation.tables import changed_tasks, comparison_table

    with working("Comparing"):
        found = compare_evaluations(load_evaluation(before, runs), load_evaluation(after, runs))
    if as_json:
        print_json(found.to_data())
        return
    out = console()
    out.print(comparison_table(found, (before, after)))
    out.print(changed_tasks(found))


def power(
    suite: Annotated[str, typer.Argument(help="An environment's id or short name.")],
    effect: Annotated[
        float, typer.Option("--effect", min=0.001, max=100, help="Points of success to be told.")
    ] = 5.0,
    split: SplitName = "heldout",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Tasks of each part of the split; default: all.")
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Episodes of each task.")] = 1,
    rate: Annotated[
        float, typer.Option("--rate", min=0, max=100, help="Success of the one policy, in percent.")
    ] = 50.0,
    like: Annotated[
        list[str] | None,
        typer.Option("--like", metavar="RUN", help="Measured: one evaluation, or two to be compared."),
    ] = None,
    option: EnvOptions = None,
    runs: RunsRoot = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Tell which difference a suite can resolve, and how many tasks a difference takes, before anything is played.

    Example: agentgym power household --effect 9 --limit 100
    """
    from agentgym.evaluation.resolution import measured, resolution, resolution_table
    from agentgym.evaluation.runs import load_evaluation
    from agentgym.registry import find_spec

    found = resolution(
        find_spec(suite),
        split,
        effect / 100,
        limit=limit,
        samples=epochs,
        rate=rate / 100,
        spread=measured([load_evaluation(name, runs) for name in like]) if like else None,
        options=parse_options(option),
    )
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    console().print(resolution_table(found))


def leaderboard(
    suite: Annotated[str | None, typer.Argument(help="Keep to one environment.")] = None,
    split: Annotated[str | None, typer.Option("--split", help="Keep to train, select or heldout.")] = None,
    runs: RunsRoot = Path("runs"),
    html: Annotated[Path | None, typer.Option("--html", help="Write a page here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Rank the evaluations of all runs by suite, with intervals, and tell which are no worse than the best.

    Example: agentgym leaderboard --html boards/index.html
    """
    from agentgym.core.task import Split
    from agentgym.evaluation.boards import boards_page, boards_table
    from agentgym.evaluation.leaderboard import leaderboard as rank
    from agentgym.registry import find_spec

    prepare_output(html)
    env_id = None if suite is None else find_spec(suite).id
    with working("Reading evaluations"):
        part = None if split is None else Split.parse(split).value
        boards = rank(runs, env_id, part, lambda why: tell(f"Left out: {why}"))
    if html is not None:
        html.write_text(boards_page(boards), "utf-8")
    if as_json:
        print_json([board.model_dump(mode="json") for board in boards])
        return
    out = console()
    out.print(boards_table(boards))
    if html is not None:
        out.print(f"Written to {html}.", markup=False, soft_wrap=True)
