"""`agentgym evolve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentgym.cli.options import AsJson, EnvOptions, OptionalEnvName, RunsRoot, Seed, parse_options
from agentgym.cli.policies import Actor, ActorModel, AgentName, ApiKeyEnv, MaxTokens
from agentgym.core.errors import UsageError

_BATCHES = "Batches"
_LIBRARY = "Library"

Evolver = Annotated[
    str | None,
    typer.Option(
        "--evolver", help="Who writes: a URL, openai:MODEL or scripted. Default: the model at a URL."
    ),
]
EvolverName = Annotated[str, typer.Option("--evolver-name", help="The model at the evolver's URL.")]
Batches = Annotated[int, typer.Option("--batches", min=1, help="How many.", rich_help_panel=_BATCHES)]
Tasks = Annotated[int, typer.Option("--tasks", min=1, help="Of each batch.", rich_help_panel=_BATCHES)]
Rollouts = Annotated[int, typer.Option("--rollouts", min=1, help="Of each task.", rich_help_panel=_BATCHES)]
MaxTurns = Annotated[int, typer.Option("--max-turns", min=1, help="Of an episode.", rich_help_panel=_BATCHES)]
Concurrency = Annotated[
    int, typer.Option("--concurrency", min=1, help="Most episodes at a time.", rich_help_panel=_BATCHES)
]
Demonstrations = Annotated[
    int,
    typer.Option(
        "--demonstrations",
        min=0,
        help="Tasks that the expert plays once, to be learned from besides. Default: none.",
        rich_help_panel=_BATCHES,
    ),
]
Shown = Annotated[
    float,
    typer.Option("--shown", min=0.2, max=0.8, help="Probability of being shown.", rich_help_panel=_LIBRARY),
]
K = Annotated[int, typer.Option("--k", min=1, help="Most items shown.", rich_help_panel=_LIBRARY)]
Budget = Annotated[
    int, typer.Option("--token-budget", min=1, help="Tokens of what is shown.", rich_help_panel=_LIBRARY)
]
GateTasks = Annotated[
    int,
    typer.Option(
        "--gate-tasks",
        min=1,
        help="Tasks of each part of `select` that an item is tried on.",
        rich_help_panel=_LIBRARY,
    ),
]
MinExposures = Annotated[
    int,
    typer.Option(
        "--min-exposures", min=1, help="Before its lift decides on an item.", rich_help_panel=_LIBRARY
    ),
]
LibraryPath = Annotated[
    str,
    typer.Option(
        "--library", help="A path or postgresql:// URL. Default: the run's own.", rich_help_panel=_LIBRARY
    ),
]
Space = Annotated[str, typer.Option("--space", help="Whose items they are.", rich_help_panel=_LIBRARY)]
Embeddings = Annotated[
    str,
    typer.Option("--embeddings", help="URL whose embeddings find items too.", rich_help_panel=_LIBRARY),
]
EmbeddingsName = Annotated[
    str, typer.Option("--embeddings-name", help="The model at that URL.", rich_help_panel=_LIBRARY)
]


def evolve(
    context: typer.Context,
    env: OptionalEnvName = None,
    model: Actor = "scripted",
    model_name: ActorModel = "",
    evolver: Evolver = None,
    evolver_name: EvolverName = "",
    tools: Annotated[
        bool, typer.Option("--tools/--no-tools", help="Whether `scripted` writes tools besides skills.")
    ] = True,
    api_key_env: ApiKeyEnv = "OPENAI_API_KEY",
    agent: AgentName = None,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="0 is greedy.")] = 1.0,
    option: EnvOptions = None,
    batches: Batches = 8,
    tasks: Tasks = 32,
    rollouts: Rollouts = 4,
    max_turns: MaxTurns = 50,
    max_tokens: MaxTokens = 512,
    concurrency: Concurrency = 16,
    demonstrations: Demonstrations = 0,
    shown: Shown = 0.5,
    k: K = 4,
    token_budget: Budget = 2000,
    gate_tasks: GateTasks = 40,
    min_exposures: MinExposures = 100,
    library: LibraryPath = "",
    space: Space = "",
    embeddings: Embeddings = "",
    embeddings_name: EmbeddingsName = "",
    seed: Seed = 0,
    evaluate: Annotated[
        int,
        typer.Option(
            "--evaluate", min=0, help="Held-out tasks of each part, without the library and with it."
        ),
    ] = 0,
    runs: RunsRoot = Path("runs"),
    name: Annotated[str | None, typer.Option("--name", help="Name of the run directory.")] = None,
    resume: Annotated[str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run.")] = None,
    as_json: AsJson = False,
) -> None:
    """Grow a library of skills and tools: act, distil, gate, credit, consolidate, batch after batch.

    A new item is tried on tasks of the split `select`; then it is shown in some episodes and withheld in others of the
    same task, and stays where it helps. `scripted` needs no model: an agent that tries things out and follows the
    skills it is shown, and an evolver that distils them from what was tried. Ctrl-C stops it; --resume goes on to the
    same library.

    Example: agentgym evolve household -o difficulty=easy --batches 2 --tasks 24
    """
    from agentgym.cli.evolving import begin, go_on
    from agentgym.evolution.settings import EvolveSettings

    if resume is not None:
        if env is not None or name is not None:
            raise UsageError(
                "--resume goes on with an evolution as it was begun; give no environment or name."
            )
        go_on(resume, runs, evaluate, as_json)
        return
    if env is None:
        context.fail("Missing argument 'ENV'.")
    asked = {key: value for key, value in context.params.items() if key in EvolveSettings.model_fields}
    begin(env, {**asked, "options": parse_options(option)}, runs, name, evaluate, as_json)
