"""`agentgym adapt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentgym.cli.options import AsJson, EnvOptions, OptionalEnvName, RunsRoot, Seed, parse_options
from agentgym.cli.policies import Actor, ActorModel, AgentName, ApiKeyEnv, MaxTokens
from agentgym.core.errors import UsageError

_SEARCH = "Search"
_MEMORY = "Memory"

Writer = Annotated[
    str | None,
    typer.Option(
        "--writer",
        help="Who writes guides and prompts: a URL, openai:MODEL or scripted. Default: the model at a URL.",
    ),
]
WriterName = Annotated[str, typer.Option("--writer-name", help="The model at the writer's URL.")]
Start = Annotated[
    Path | None,
    typer.Option(
        "--start",
        help="A JSON file with the adaptation to begin with. Default: none.",
        rich_help_panel=_SEARCH,
    ),
]
Attempts = Annotated[int, typer.Option("--attempts", min=1, help="At each task.", rich_help_panel=_SEARCH)]
Tasks = Annotated[int, typer.Option("--tasks", min=1, help="Train tasks.", rich_help_panel=_SEARCH)]
SelectTasks = Annotated[
    int, typer.Option("--select-tasks", min=1, help="Tasks that decide in the end.", rich_help_panel=_SEARCH)
]
Steps = Annotated[int, typer.Option("--steps", min=0, help="Variations tried.", rich_help_panel=_SEARCH)]
Minibatch = Annotated[
    int,
    typer.Option(
        "--minibatch", min=1, help="Tasks on which one must beat its parent.", rich_help_panel=_SEARCH
    ),
]
Finalists = Annotated[
    int,
    typer.Option("--finalists", min=1, help="How many go on to the `select` tasks.", rich_help_panel=_SEARCH),
]
Library = Annotated[
    str,
    typer.Option("--library", help="A path or postgresql:// URL: its active items.", rich_help_panel=_MEMORY),
]
Space = Annotated[str, typer.Option("--space", help="Whose items are seen.", rich_help_panel=_MEMORY)]
Demonstrations = Annotated[
    int,
    typer.Option(
        "--demonstrations",
        min=0,
        help="Other train tasks that expert and agent play once, to make a memory of.",
        rich_help_panel=_MEMORY,
    ),
]


def adapt(
    context: typer.Context,
    env: OptionalEnvName = None,
    model: Actor = "scripted",
    model_name: ActorModel = "",
    writer: Writer = None,
    writer_name: WriterName = "",
    api_key_env: ApiKeyEnv = "OPENAI_API_KEY",
    agent: AgentName = None,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="0 is greedy.")] = 1.0,
    option: EnvOptions = None,
    start: Start = None,
    attempts: Attempts = 3,
    tasks: Tasks = 12,
    select_tasks: SelectTasks = 24,
    steps: Steps = 32,
    minibatch: Minibatch = 6,
    finalists: Finalists = 3,
    max_turns: Annotated[int, typer.Option("--max-turns", min=1, help="Of an attempt.")] = 50,
    max_tokens: MaxTokens = 512,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Most attempts at a time.")] = 16,
    library: Library = "",
    space: Space = "",
    demonstrations: Demonstrations = 0,
    seed: Seed = 0,
    runs: RunsRoot = Path("runs"),
    name: Annotated[str | None, typer.Option("--name", help="Name of the run directory.")] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Go on with a search.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Search how an agent best adapts over its attempts at a task: by which guide, and by how much of a memory.

    Varied are the prompt by which a guide to the next attempt is written, and what of the memory is shown: how many
    items, of which kinds, found how, within how many tokens. Later attempts count more. The search is on train tasks, the
    choice on `select`; no held-out task is looked at. Ctrl-C stops it; --resume goes on to the same result.

    Example: agentgym adapt household --demonstrations 24 --tasks 6 --steps 6
    """
    from agentgym.cli.adapting import begin, go_on
    from agentgym.evolution.adaptation.run import AdaptSettings

    if resume is not None:
        if env is not None or name is not None:
            raise UsageError("--resume goes on with a search as it was begun; give no environment or name.")
        go_on(resume, runs, as_json)
        return
    if env is None:
        context.fail("Missing argument 'ENV'.")
    asked = {key: value for key, value in context.params.items() if key in AdaptSettings.model_fields}
    begin(env, {**asked, "start": start, "options": parse_options(option)}, runs, name, as_json)
