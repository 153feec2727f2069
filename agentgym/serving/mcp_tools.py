"""An episode's tools over the Model Context Protocol, so that any MCP client can act in a world.

The client is told the first observation as the server's instructions, and by the prompt `task` for clients that show
none. What comes of a call is its result, an error where the world did not take it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import anyio.to_thread
from mcp import types
from mcp.server import Server
from mcp.server.stdio import stdio_server

from agentgym import __version__
from agentgym.core.env import AgentEnv
from agentgym.core.errors import UsageError
from agentgym.core.tool import ToolCall

PROMPT = "task"


class ToolEpisode:
    """One episode of an environment with tools, acted in by an MCP client.

    Raises `UsageError` for an environment without tools.
    """

    def __init__(self, env: AgentEnv, *, task: str | None = None, seed: int = 0) -> None:
        self.env = env
        self.opening, self.info = _reset(env, task, seed)
        if not env.tools:
            raise UsageError(
                f"{env.task.env_id} offers no tools, and MCP clients have nothing else; serve it with `agentgym serve`."
            )
        self.steps = 0
        self.score = 0.0
        self.over = False
        self._one_at_a_time = anyio.Lock()

    def server(self) -> Server[dict[str, Any]]:
        """Return an MCP server of the episode's tools."""
        return Server(
            "agentgym",
            version=__version__,
            instructions=self.opening,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
        )

    async def serve_stdio(self) -> None:
        """Serve one client on standard input and output until it goes."""
        server = self.server()
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    async def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """Make a call; return what is observed, and whether the world took it."""
        async with self._one_at_a_time:
            if self.over:
                return "The episode is over. Start the server again for another one.", False
            # In a thread: a world may wait for something else, and must not hold up the protocol.
            observation, reward, terminated, truncated, self.info = await anyio.to_thread.run_sync(
                self.env.step, ToolCall(name, arguments)
            )
            self.steps += 1
            self.score += float(reward)
            self.over = terminated or truncated
        text = observation if isinstance(observation, str) else observation["text"]
        if self.over:
            text = f"{text}\nThe episode is over."
        return text, bool(self.info.get("valid", True))

    async def _list_tools(self, _context: Any, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(name=tool.name, description=tool.description, input_schema=dict(tool.input_schema))
                for tool in self.env.tools
            ]
        )

    async def _call_tool(self, _context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        text, valid = await self.call(params.name, params.arguments or {})
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=not valid)

    async def _list_prompts(self, _context: Any, _params: Any) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[types.Prompt(name=PROMPT, description="What is to be done.")])

    async def _get_prompt(self, _context: Any, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        told = types.PromptMessage(role="user", content=types.TextContent(type="text", text=self.opening))
        return types.GetPromptResult(messages=[told])


def _reset(env: AgentEnv, task: str | None, seed: int) -> tuple[str, Mapping[str, Any]]:
    observation, info = env.reset(seed=seed, options=None if task is None else {"task": task})
    return observation if isinstance(observation, str) else observation["text"], info
