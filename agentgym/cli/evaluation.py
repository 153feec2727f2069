"""`agentgym eval`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentgym.cli.console import console, error_console
from agentgym.cli.options import EnvName, EnvOptions, Seed, SplitName, parse_options, prepare_output
from agentgym.cli.policies import (
    AgainstModel,
    AgentName,
    ApiKeyEnv,
    EndpointOptions,
    MaxTokens,
    Model,
    Player,
    Prices,
    RequestsPerMinute,
    open_player,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from agentgym.evaluation.report import Evaluation
    from agentgym.rollout.monitor import Monitor

MAX_TURNS = 50
"""Where no run says how many turns it was trained with."""


def evaluate(
    env: EnvName,
    policy: Annotated[
        str, typer.Option("--policy", help="A run, random, oracle, openai:MODEL, vllm:PATH, a URL.")
    ],
    split: SplitName = "heldout",
    against: Annotated[
        str | None, typer.Option("--against", help="A second policy, compared on the same tasks and seeds.")
    ] = None,
    episodes: Annotated[
        int, typer.Option("--episodes", min=1, help="Tasks of each part of the split (seen, unseen).")
    ] = 100,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Episodes of each task.")] = 1,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="0 is greedy.")] = 0.0,
    max_turns: Annotated[
        int | None, typer.Option("--max-turns", min=1, help="Default: the run's own, else 50.")
    ] = None,
    seed: Seed = 0,
    option: EnvOptions = None,
    agent: AgentName = None,
    runs: Annotated[Path, typer.Option("--runs", help="Where runs are looked for by name.")] = Path("runs"),
    out: Annotated[Path | None, typer.Option("--out", help="Write the evaluation as JSON here.")] = None,
    model: Model = "",
    against_model: AgainstModel = "",
    api_key_env: ApiKeyEnv = "OPENAI_API_KEY",
    prices: Prices = None,
    requests_per_minute: RequestsPerMinute = None,
    max_tokens: MaxTokens = 512,
) -> None:
    """Evaluate a policy on a split's tasks, and compare it with another on the same ones.

    A model behind an OpenAI-compatible URL, such as http://127.0.0.1:8000/v1, or a directory that vLLM is to run
    (vllm:PATH), is shown what it can do at each turn, and may think before it acts; a run plays as it was trained.

    Example: agentgym eval household --policy oracle --against random --episodes 9
    """
    from agentgym.core.task import Split
    from agentgym.evaluation.runner import evaluate as play
    from agentgym.registry import find_spec

    spec, split = find_spec(env), Split.parse(split)
    endpoints = EndpointOptions(api_key_env, prices, requests_per_minute, max_tokens)
    players = [
        open_player(name, spec.id, temperature, runs, model=chosen, options=endpoints, agent=agent)
        for name, chosen in ((policy, model), (against, against_model))
        if name is not None
    ]
    sections = [player.trained_in for player in players if player.trained_in is not None]
    options = {**(sections[0].options if sections else {}), **parse_options(option)}
    turns = max_turns or (sections[0].max_turns if sections else MAX_TURNS)
    prepare_output(out)
    with _bar() as bar:

        def played(player: Player) -> Evaluation:
            task = bar.add_task(player.agent.name, total=None, note="")
            return asyncio.run(
                play(
                    spec,
                    player.agent,
                    split,
                    tasks=episodes,
                    samples=samples,
                    seed=seed,
                    max_turns=turns,
                    options=options,
                    rules=player.rules,
                    monitor=_monitor(bar, task),
                    on_progress=lambda _, done, total: bar.update(task, completed=done, total=total),
                )
            )

        found = [played(player) for player in players]
    screen = console()
    _show(screen, found, players)
    if any(section != sections[0] for section in sections):
        screen.print("The two runs were trained under other conditions than each other.", style="yellow")
    if out is not None:
        found[0].save(out)
        screen.print(f"Written to {out}.", markup=False, soft_wrap=True)


def _show(screen: Console, found: Sequence[Evaluation], players: Sequence[Player]) -> None:
    from agentgym.evaluation.compare import compare
    from agentgym.evaluation.tables import comparison_table, evaluation_table

    for evaluation in found:
        screen.print(evaluation_table(evaluation))
    if len(found) > 1:
        screen.print(comparison_table(compare(found[1], found[0])))
    screen.print(_conditions(found[0]), markup=False)
    for player in players:
        if player.endpoint is not None:
            spent = player.endpoint.usage.told(player.endpoint.settings.prices)
            screen.print(f"{player.agent.name}: {spent}.", markup=False)


def _conditions(evaluation: Evaluation) -> str:
    options = ", ".join(f"{key} = {value!r}" for key, value in evaluation.options.items())
    return f"At most {evaluation.max_turns} turns; environment options: {options or 'none'}."


def _bar() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    out = error_console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    )


def _monitor(bar: Progress, task: TaskID) -> Monitor:
    """Return a monitor that shows beside the bar how fast it goes, and says what an operator should know."""
    from agentgym.rollout.monitor import Monitor

    def say(line: str) -> None:
        bar.console.print(line, markup=False, soft_wrap=True)

    return Monitor(on_figures=lambda figures: bar.update(task, note=figures.line), say=say)
