"""`agentgym mcp`."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Annotated

import typer

from agentgym.cli.console import error_console
from agentgym.cli.options import EnvName, EnvOptions, Seed, SplitName, parse_options
from agentgym.core.errors import UsageError


def mcp(
    env: EnvName,
    split: SplitName = "train",
    task: Annotated[str | None, typer.Option("--task", help="A task's id; otherwise one is drawn.")] = None,
    seed: Seed = 0,
    option: EnvOptions = None,
) -> None:
    """Let an MCP client act in one episode of an environment with tools.

    It speaks the Model Context Protocol on standard input and output: name this command to the client as a server.
    When the client goes, what became of the episode is told on standard error.

    Example: agentgym mcp backoffice --split select --task select-easy-0000
    """
    from agentgym.registry import make

    try:
        from agentgym.serving.mcp_tools import ToolEpisode
    except ModuleNotFoundError as error:
        if error.name not in ("mcp", "anyio"):
            raise
        raise UsageError("The package mcp is not installed: pip install 'agentgym-harness[mcp]'.") from None
    with closing(make(env, split, **parse_options(option))) as world:
        episode = ToolEpisode(world, task=task, seed=seed)
        asyncio.run(episode.serve_stdio())
        ended = "ended" if episode.over else "left"
        verdict = "solved" if episode.info["success"] else "not solved"
        error_console().print(
            f"Task {world.task.id} {ended} after {episode.steps} calls: {verdict}, score {episode.score:g}."
        )
