"""`agentgym replay`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from agentgym.cli.console import console, print_json
from agentgym.cli.options import AsJson, RunsRoot
from agentgym.core.errors import UsageError

if TYPE_CHECKING:
    from agentgym.core.trace import Episode
    from agentgym.rollout.replay import Difference
    from agentgym.training.run import Run


def replay(
    run: Annotated[str, typer.Argument(help="A run: its directory, or its name in the folder of --runs.")],
    episode: Annotated[
        str | None, typer.Argument(help="An episode's id, such as train-000003/0001/02.")
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="The newest episode, in place of an id.")] = False,
    runs: RunsRoot = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Play a recorded episode's actions again in its environment and tell the first difference; exits with 1 where
    there is one.

    Example: agentgym replay reference --last
    """
    from agentgym.registry import make
    from agentgym.rollout.replay import replay as play_again
    from agentgym.training.run import Run

    if last == (episode is not None):
        raise UsageError("Give the id of an episode, or --last for the newest one.")
    opened = Run.open(run, runs)
    recorded = _recorded(opened, episode)
    task = recorded.task
    if task.imagined:
        raise UsageError(
            f"{recorded.id} was played in a model of its environment, which has learned more since; only episodes of the "
            "environment itself can be replayed."
        )
    with closing(make(task.env_id, task.split, **opened.recipe.environment.options)) as env:
        found = play_again(recorded, env)
    if as_json:
        print_json(_to_data(recorded, found))
    else:
        _show(recorded, found)
    if found is not None:
        raise typer.Exit(1)


def _to_data(recorded: Episode, found: Difference | None) -> dict[str, Any]:
    """Return what came of it as JSON data."""
    told = {"episode": recorded.id, "task": recorded.task.id, "turns": len(recorded.turns)}
    if found is None:
        return {**told, "difference": None}
    difference = {"turn": found.turn, "field": found.field}
    return {
        **told,
        "difference": {**difference, "recorded": repr(found.recorded), "got": repr(found.got)},
    }


def _show(recorded: Episode, found: Difference | None) -> None:
    out = console()
    turns = f"{len(recorded.turns)} turn{'s' if len(recorded.turns) != 1 else ''}"
    told = Text.assemble(
        (recorded.id, "bold"), f", {recorded.outcome.value} after {turns}, task {recorded.task.id}"
    )
    out.print(told, soft_wrap=True)
    if found is not None:
        out.print(Text.assemble(("Differs", "bold red"), f" at {found}"), soft_wrap=True)
    else:
        out.print(Text("Every turn is as recorded.", "green"))


def _recorded(run: Run, episode: str | None) -> Episode:
    """Return an episode of a run, the newest one where no id is given."""
    from agentgym.store.store import Store

    with Store(run.store, create=False) as store:
        if episode is not None:
            return store.episode(episode, run.name)
        rows = store.episode_rows(run.name)
        if not rows:
            raise UsageError(f"The run {run.path} has no episodes yet.")
        return store.episode(rows[-1].id, run.name)
