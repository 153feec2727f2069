"""agentgym: the gym and the trainer for LLM agents that learn.

    import agentgym

    env = agentgym.make("agentgym/Household-v0", split="train")
    observation, info = env.reset(seed=3)
    observation, reward, terminated, truncated, info = env.step("open fridge 1")

Importing this module loads neither torch nor an environment; names are resolved when first used.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from pathlib import Path as _Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentgym.core.agent import Agent, AgentSession, Decision
    from agentgym.core.env import AgentEnv, EnvSpec
    from agentgym.core.errors import AgentGymError
    from agentgym.core.message import Message
    from agentgym.core.policy import Completion, GenerationRequest, Policy, Sampling
    from agentgym.core.sandbox import SandboxSpec
    from agentgym.core.task import Split, Task, TaskSuite
    from agentgym.core.trace import Episode, Outcome, Turn
    from agentgym.registry import make, make_vec, register, registered, suite
    from agentgym.sandboxes.backends import sandbox

__version__ = "0.1.0"

_here = _Path(__file__).resolve().parent
if not (_here / "environments").is_dir():  # a Windows checkout without symlinks
    __path__.append(str(_here.parent))

_EXPORTS = {
    # environments
    "make": "agentgym.registry",
    "make_vec": "agentgym.registry",
    "register": "agentgym.registry",
    "registered": "agentgym.registry",
    "suite": "agentgym.registry",
    # sandboxes
    "SandboxSpec": "agentgym.core.sandbox",
    "sandbox": "agentgym.sandboxes.backends",
    # contracts
    "Agent": "agentgym.core.agent",
    "AgentEnv": "agentgym.core.env",
    "AgentSession": "agentgym.core.agent",
    "Decision": "agentgym.core.agent",
    "EnvSpec": "agentgym.core.env",
    "Policy": "agentgym.core.policy",
    "TaskSuite": "agentgym.core.task",
    # records
    "Completion": "agentgym.core.policy",
    "Episode": "agentgym.core.trace",
    "GenerationRequest": "agentgym.core.policy",
    "Message": "agentgym.core.message",
    "Outcome": "agentgym.core.trace",
    "Sampling": "agentgym.core.policy",
    "Split": "agentgym.core.task",
    "Task": "agentgym.core.task",
    "Turn": "agentgym.core.trace",
    # errors
    "AgentGymError": "agentgym.core.errors",
}

__all__ = [  # noqa: RUF022 - grouped by area
    # environments
    "make",
    "make_vec",
    "register",
    "registered",
    "suite",
    # sandboxes
    "SandboxSpec",
    "sandbox",
    # contracts
    "Agent",
    "AgentEnv",
    "AgentSession",
    "Decision",
    "EnvSpec",
    "Policy",
    "TaskSuite",
    # records
    "Completion",
    "Episode",
    "GenerationRequest",
    "Message",
    "Outcome",
    "Sampling",
    "Split",
    "Task",
    "Turn",
    # errors
    "AgentGymError",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'agentgym' has no attribute {name!r}")
    value = getattr(_import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
