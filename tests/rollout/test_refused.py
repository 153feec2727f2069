"""An action that the world does not take ends the episode, and what the agent said for it is on record."""

from __future__ import annotations

import asyncio

import pytest

from agentgym.agents.scripted import ScriptedAgent
from agentgym.core.env import Stepping
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Episode, Outcome, StopReason
from agentgym.rollout.collect import EpisodePlan, collect
from agentgym.rollout.replay import replay
from agentgym.rollout.rules import Rules
from tests.agents.boxes import TOLD, ToolBoxes, task


def play(action: ToolCall, stepping: Stepping) -> Episode:
    agent = ScriptedAgent([ToolCall("peek", {"box": 1}), action])
    plan = EpisodePlan(task(ToolBoxes, 2), "e", "g", 0)
    rules = Rules(stepping=stepping)
    (episode,) = asyncio.run(collect([plan], agent, ToolBoxes, concurrency=1, max_turns=4, rules=rules))
    return episode


@pytest.mark.parametrize("stepping", Stepping)
def test_the_turn_is_recorded_wherever_the_world_runs(stepping: Stepping) -> None:
    episode = play(ToolCall("open", {"box": 7}), stepping)
    assert (episode.outcome, episode.stop_reason, episode.score) == (
        Outcome.AGENT_ERROR,
        StopReason.ERROR,
        0.0,
    )
    assert "is no action of test/ToolBoxes-v0" in (episode.error or "")
    first, refused = episode.turns
    assert (first.observation, first.valid, first.state_key) == (TOLD, True, "box-2-0 [] 0")
    assert (refused.observation, refused.valid, refused.state_key) == (
        "Box 1 is empty.",
        False,
        "box-2-0 [1] 1",
    )
    assert (refused.reward, refused.terminated, refused.truncated) == (0.0, False, False)
    assert episode.final_observation == "Box 1 is empty."
    assert replay(episode, ToolBoxes()) is None
