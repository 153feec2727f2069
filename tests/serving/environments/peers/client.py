"""Plays with OpenEnv's own clients. Runs in their virtual environment, imports nothing of ours.

Reads {"text": [URL, actions], "tools": [URL, arguments of calls]} and prints what came of both, as JSON.
"""

# Not installed where types are checked.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any


async def text(url: str, actions: list[str]) -> list[Any]:
    """Play an episode with the client that knows no types."""
    from openenv.core.generic_client import GenericEnvClient

    told: list[Any] = []
    async with GenericEnvClient(base_url=url) as client:
        first = await client.reset(seed=3, episode_id="mine")
        told.append([first.observation, first.reward, first.done])
        for action in actions:
            result = await client.step({"text": action})
            told.append([result.observation, result.reward, result.done])
        told.append(await client.state())
        try:
            await client.step({"txet": "look"})
        except RuntimeError as error:
            told.append(str(error))
    return told


async def tools(url: str, calls: list[dict[str, Any]]) -> list[Any]:
    """Play an episode with the client of tool environments."""
    from openenv.core.mcp_client import MCPToolClient

    async with MCPToolClient(base_url=url) as client:
        await client.reset(seed=3)
        listed = [[tool.name, tool.input_schema] for tool in await client.list_tools()]
        results = [await client.call_tool("paint", **call) for call in calls]
        state = await client.state()
    return [listed, results, state.step_count]


async def both(asked: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked."""
    return {"text": await text(*asked["text"]), "tools": await tools(*asked["tools"])}


print(json.dumps(asyncio.run(both(json.load(sys.stdin)))))  # noqa: T201 - the answer
