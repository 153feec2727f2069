"""The agents around a policy, by name: those shipped, and those of other packages.

A package announces its own as an entry point of the group `agentgym.agents`: a subclass of `TalkingAgent`, or a
function that takes what its constructor takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from inspect import signature
from typing import Annotated, TypeAlias, Unpack

from pydantic import AfterValidator

from agentgym.agents.chat import ActionFormat, ChatAgent
from agentgym.agents.planner import PlannerAgent
from agentgym.agents.react import ReActAgent
from agentgym.agents.talking import TalkingAgent, TalkingSettings
from agentgym.agents.toolcalling import ToolCallingAgent
from agentgym.core.errors import AgentGymError, ConfigError, UnknownNameError
from agentgym.core.policy import Policy

ENTRY_POINT_GROUP = "agentgym.agents"
AgentFactory: TypeAlias = Callable[..., TalkingAgent]

_SHIPPED: Mapping[str, AgentFactory] = {
    "chat": ChatAgent,
    "react": ReActAgent,
    "toolcalling": ToolCallingAgent,
    "planner": PlannerAgent,
}


def agent_kind(name: str) -> str:
    """Return `name` if an agent is called so; raises `UnknownNameError`."""
    announced = entry_points(group=ENTRY_POINT_GROUP).names
    if name not in _SHIPPED and name not in announced:
        raise UnknownNameError("agent", name, {*_SHIPPED, *announced})
    return name


AgentKind: TypeAlias = Annotated[str, AfterValidator(agent_kind)]
"""The name of an agent, looked up where it is read."""


def new_agent(
    kind: str,
    policy: Policy,
    *,
    action_format: ActionFormat = "plain",
    **settings: Unpack[TalkingSettings],
) -> TalkingAgent:
    """Make an agent.

    Raises `UnknownNameError` for no agent, `ConfigError` for an `action_format` that its kind does not have.
    """
    factory = _factory(agent_kind(kind))
    if action_format == "plain":
        return factory(policy, **settings)
    if "action_format" not in signature(factory).parameters:
        having = [
            repr(name) for name, each in _SHIPPED.items() if "action_format" in signature(each).parameters
        ]
        raise ConfigError(
            f"action_format {action_format!r} is for the agents {' and '.join(having)}; {kind!r} has a form of its own."
        )
    return factory(policy, action_format=action_format, **settings)


def _factory(name: str) -> AgentFactory:
    if name in _SHIPPED:
        return _SHIPPED[name]
    (point, *_) = entry_points(group=ENTRY_POINT_GROUP, name=name)
    found: AgentFactory = point.load()
    if not callable(found):
        raise AgentGymError(
            f"Entry point {name!r} of group {ENTRY_POINT_GROUP!r}: {point.value} is a {type(found).__name__}, and no "
            "class or function that makes an agent."
        )
    return found
