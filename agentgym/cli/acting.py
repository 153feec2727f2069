"""Who acts with a memory: the scripted agent, a model, or a run."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

from agentgym.agents.follower.agent import FollowerAgent
from agentgym.agents.talking import TalkingAgent
from agentgym.cli.policies import EndpointOptions, open_player
from agentgym.core.agent import Agent
from agentgym.core.errors import UsageError
from agentgym.core.memory import Memory
from agentgym.evolution.distilling.scripted import NAME as SCRIPTED
from agentgym.evolution.settings import Acting
from agentgym.rollout.rules import Rules


def acting(settings: Acting, root: Path) -> tuple[Callable[[Memory | None], Agent], Rules | None]:
    """Return what makes the acting agent around a memory, and the rules that its run was trained by.

    Raises `UsageError` for a player that reads no memory, and as `open_player`.
    """
    if settings.model == SCRIPTED:
        return FollowerAgent, None
    player = open_player(
        settings.model,
        settings.env_id,
        settings.temperature,
        root,
        model=settings.model_name,
        options=EndpointOptions(settings.api_key_env, max_tokens=settings.max_tokens),
        agent=settings.agent,
    )
    agent = player.agent
    if not isinstance(agent, TalkingAgent):
        raise UsageError(f"{settings.model!r} reads no memory; let a model act, a run, or {SCRIPTED!r}.")

    def remembering(memory: Memory | None) -> Agent:
        clone = copy.copy(agent)
        clone.memory = memory
        return clone

    return remembering, player.rules
