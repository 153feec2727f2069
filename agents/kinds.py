"""The agents around a policy, by name."""

from __future__ import annotations

from typing import Literal, TypeAlias, Unpack, get_args

from agentgym.agents.chat import ActionFormat, ChatAgent
from agentgym.agents.planner import PlannerAgent
from agentgym.agents.react import ReActAgent
from agentgym.agents.talking import TalkingAgent, TalkingSettings
from agentgym.agents.toolcalling import ToolCallingAgent
from agentgym.core.errors import ConfigError, UnknownNameError
from agentgym.core.policy import Policy

AgentKind: TypeAlias = Literal["chat", "react", "toolcalling", "planner"]
_KINDS: tuple[AgentKind, ...] = get_args(AgentKind)


def agent_kind(name: str) -> AgentKind:
    """Return the kind called `name`; raises `UnknownNameError`."""
    for kind in _KINDS:
        if kind == name:
            return kind
    raise UnknownNameError("agent", name, _KINDS)


def new_agent(
    kind: AgentKind,
    policy: Policy,
    *,
    action_format: ActionFormat = "plain",
    **settings: Unpack[TalkingSettings],
) -> TalkingAgent:
    """Make an agent; raises `ConfigError` for an `action_format` that its kind does not have."""
    match kind:
        case "chat":
            return ChatAgent(policy, action_format=action_format, **settings)
        case "planner":
            return PlannerAgent(policy, action_format=action_format, **settings)
        case "react" | "toolcalling":
            if action_format != "plain":
                raise ConfigError(
                    f"action_format {action_format!r} is for the agents 'chat' and 'planner'; {kind!r} has a form of "
                    "its own."
                )
            return (ReActAgent if kind == "react" else ToolCallingAgent)(policy, **settings)
