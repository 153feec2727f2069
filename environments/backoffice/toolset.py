"""The tools that one task offers, under the names it has for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentgym.core.errors import unknown_name_message
from agentgym.core.tool import ToolCall, ToolSpec
from agentgym.environments.backoffice.desk import Desk, Refused
from agentgym.environments.backoffice.toolbox import TEXT, Tool, must_fit, tool


@tool(message=TEXT)
def reply(desk: Desk, message: str) -> str:
    """Say something to the user, and hear the answer."""
    return message  # the environment passes it on


WORDS: Mapping[str, Mapping[str, str]] = {
    "plain": {},
    "formal": {
        "get": "fetch", "find": "look_up", "list": "enumerate", "search": "query", "cancel": "void", "change": "amend",
        "add": "grant", "open": "file", "place": "submit", "reply": "respond", "message": "text", "order": "purchase",
        "customer": "client", "product": "article", "booking": "reservation", "flight": "connection", "id": "ref",
        "event": "meeting", "mail": "letter", "quantity": "count", "refund": "repayment", "day": "date", "book": "reserve",
        "move": "shift", "send": "dispatch", "read": "view", "ticket": "case",
    },
}  # fmt: skip
"""Dialects: how the words in the names of tools and arguments are replaced."""


class Toolset:
    """Offers tools in a dialect and runs calls of them."""

    def __init__(self, tools: Sequence[Tool], dialect: str = "plain") -> None:
        self._words = WORDS[dialect]
        self._tools = {self._renamed(tool.name): tool for tool in (*tools, reply)}
        self.specs = tuple(self._spec(tool) for tool in self._tools.values())
        self._spec_of = {spec.name: spec for spec in self.specs}

    def resolve(self, call: ToolCall) -> ToolCall:
        """Return a call under the tool's own names; raises `Refused` where there is no such tool or it does not fit."""
        if call.name not in self._tools:
            raise Refused(unknown_name_message("tool", str(call.name), self._tools))
        must_fit(self._spec_of[call.name], call.arguments)
        tool = self._tools[call.name]
        own = {self._renamed(name): name for name in tool.properties}
        return ToolCall(tool.name, {own[name]: value for name, value in call.arguments.items()})

    def run(self, desk: Desk, call: ToolCall) -> Any:
        """Run a resolved call, all of it or nothing; raises `Refused`."""
        desk.begin()
        try:
            result = self._tools[self._renamed(call.name)].run(desk, **call.arguments)
        except Refused:
            desk.undo()
            raise
        desk.commit()
        return result

    def translate(self, call: ToolCall) -> ToolCall:
        """Return a call of the tools' own names under those offered here."""
        arguments = {self._renamed(name): value for name, value in call.arguments.items()}
        return ToolCall(self._renamed(call.name), arguments)

    def _renamed(self, name: str) -> str:
        return "_".join(self._words.get(word, word) for word in name.split("_"))

    def _spec(self, tool: Tool) -> ToolSpec:
        properties = {self._renamed(name): schema for name, schema in tool.properties.items()}
        required = tuple(map(self._renamed, tool.required))
        return Tool(self._renamed(tool.name), tool.description, properties, required, tool.run).spec()
