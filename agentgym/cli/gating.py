"""What `agentgym memory gate` does: opens who replays and who tests, and admits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from agentgym.agents.talking import TalkingAgent
from agentgym.cli.evaluating import MAX_TURNS
from agentgym.cli.policies import EndpointOptions, is_endpoint, open_endpoint, open_player
from agentgym.core.errors import UsageError
from agentgym.core.memory import Memory
from agentgym.evolution.gate.blind import BlindTester, PolicyBlindTester, SchemaTester
from agentgym.evolution.gate.gate import Admission, Gate
from agentgym.evolution.gate.replay import Replay, ReplaySettings
from agentgym.memory.store.store import MemoryStore
from agentgym.registry import find_spec


class Asked(NamedTuple):
    """How an item is to be checked, as the command line says it."""

    env: str | None
    policy: str | None
    model: str
    agent: str | None
    tester: str | None
    settings: ReplaySettings
    max_turns: int | None
    """None: the run's own."""
    options: EndpointOptions
    runs: Path


def admit(store: MemoryStore, version: str, asked: Asked) -> Admission:
    """Put a version before the gate. Raises `UsageError` for what cannot replay or test."""
    testers: list[BlindTester] = [SchemaTester()]
    if asked.tester is not None:
        if not is_endpoint(asked.tester):
            raise UsageError(f"--tester is the URL of an endpoint, or openai:MODEL; got {asked.tester!r}.")
        endpoint = open_endpoint(asked.tester, "", asked.options)
        testers.append(PolicyBlindTester(endpoint, name="endpoint"))
    gate = Gate(store, replay=_replay(store, asked), testers=testers)
    return asyncio.run(gate.admit(version))  # which the gate outlives: connections close as the loop ends


def _replay(store: MemoryStore, asked: Asked) -> Replay | None:
    if asked.env is None or asked.policy is None:
        return None
    spec = find_spec(asked.env)
    player = open_player(
        asked.policy,
        spec.id,
        0.0,
        asked.runs,
        model=asked.model,
        options=asked.options,
        agent=asked.agent,
    )
    settings, section = asked.settings, player.trained_in
    if section is not None:  # a run replays in what it was trained in
        settings = replace(settings, options={**section.options, **settings.options})
    turns = asked.max_turns or (MAX_TURNS if section is None else section.max_turns)
    settings = replace(settings, max_turns=turns)
    return Replay(store, spec, _maker(player.agent, asked.policy), settings, rules=player.rules)


def _maker(agent: object, name: str) -> Callable[[Memory], TalkingAgent]:
    if not isinstance(agent, TalkingAgent):
        raise UsageError(f"{name} takes no notice of a memory; replay with a run or a model behind a URL.")
    return agent.with_memory
