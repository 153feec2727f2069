"""The official client acts in a world over MCP."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any, SupportsFloat

import anyio
import anyio.to_thread
import pytest
from mcp import Client
from mcp import types as wire
from mcp.client.stdio import StdioServerParameters, stdio_client

import agentgym
from agentgym.core.env import Action
from agentgym.core.errors import UsageError
from agentgym.core.tool import ToolCall
from agentgym.serving.mcp_tools import PROMPT, ToolEpisode

TASK = "select-hard-0001"


def text_of(result: wire.CallToolResult) -> str:
    (part,) = result.content
    assert isinstance(part, wire.TextContent)
    return part.text


def solution() -> list[tuple[ToolCall, str]]:
    """The expert's calls of the task and what comes of them."""
    env = agentgym.make("backoffice", "select")
    _, info = env.reset(options={"task": TASK})
    played: list[tuple[ToolCall, str]] = []
    while not info["success"]:
        call = env.oracle()
        assert isinstance(call, ToolCall)
        observation, _, _, _, info = env.step(call)
        played.append((call, observation))
    env.close()
    return played


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_is_told_the_task_and_solves_it(mode: str) -> None:
    env = agentgym.make("backoffice", "select")
    episode = ToolEpisode(env, task=TASK)

    async def act() -> None:
        async with Client(episode.server(), mode=mode) as client:
            assert client.instructions == episode.opening
            assert (await client.list_prompts()).prompts[0].name == PROMPT
            (message,) = (await client.get_prompt(PROMPT)).messages
            assert isinstance(message.content, wire.TextContent)
            assert message.content.text == episode.opening
            tools = (await client.list_tools()).tools
            assert [(tool.name, tool.input_schema) for tool in tools] == [
                (spec.name, dict(spec.input_schema)) for spec in env.tools
            ]
            wrong = await client.call_tool("reply", {"mesage": "Hello."})
            assert wrong.is_error
            assert "Did you mean 'message'?" in text_of(wrong)
            result = wrong
            for call, observation in solution():
                result = await client.call_tool(call.name, dict(call.arguments))
                assert not result.is_error
                assert text_of(result).startswith(observation)
            assert text_of(result).endswith("The episode is over.")
            assert (await client.call_tool("reply", {"message": "Bye."})).is_error

    asyncio.run(act())
    assert (episode.score, episode.info["success"], episode.over) == (1.0, True, True)
    env.close()


def test_the_command_serves_a_client_in_a_process_of_its_own(tmp_path: Path) -> None:
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "agentgym.cli", "mcp", "backoffice", "--split", "select", "--task", TASK],
        cwd=str(Path(__file__).parents[2]),
    )
    log = tmp_path / "errors"

    async def act() -> None:
        with log.open("w") as errors:
            async with Client(stdio_client(command, errlog=errors)) as client:
                for call, observation in solution():
                    result = await client.call_tool(call.name, dict(call.arguments))
                    assert text_of(result).startswith(observation)

    asyncio.run(act())
    assert log.read_text() == f"Task {TASK} ended after {len(solution())} calls: solved, score 1.\n"


def test_a_call_that_is_cancelled_is_counted_and_holds_up_the_next_one() -> None:
    env = agentgym.make("backoffice", "select")
    episode = ToolEpisode(env, task=TASK)
    begun, go_on, step = threading.Event(), threading.Event(), env.step

    def slow(action: Action) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        begun.set()
        assert go_on.wait(60)
        return step(action)

    env.step = slow

    async def act() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(episode.call, "reply", {"message": "Hello."})
            await anyio.to_thread.run_sync(begun.wait)
            group.cancel_scope.cancel()
            go_on.set()
        assert episode.steps == 1
        await episode.call("reply", {"message": "Hello again."})
        assert episode.steps == 2

    anyio.run(act)
    env.close()


def test_a_world_without_tools_is_refused() -> None:
    with pytest.raises(UsageError, match="Household-v0 offers no tools"):
        ToolEpisode(agentgym.make("household"))
