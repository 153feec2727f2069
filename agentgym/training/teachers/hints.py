"""What the policy as its own teacher sees more than the policy as the student."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from agentgym.core.env import AgentEnv
from agentgym.core.trace import Episode
from agentgym.training.demonstrations import demonstrate

PLAN = "One way to solve it: {plan}. Study it, then find your own way, one step at a time."
HINDSIGHT = "In hindsight: the answer given here led to this. {next}"
OUTCOME = "The episode ended in {outcome}."


def text_of(observation: Any) -> str:
    """Return the text of an observation, of whatever kind; empty where there is none."""
    if observation is None:
        return ""
    return observation if isinstance(observation, str) else str(observation["text"])


def next_messages(episode: Episode) -> list[str]:
    """Return what the environment said after each turn, empty where nothing is known."""
    observations = [*(turn.observation for turn in episode.turns[1:]), episode.final_observation]
    return [HINDSIGHT.format(next=text) if (text := text_of(seen)) else "" for seen in observations]


def feedback(episode: Episode) -> list[str]:
    """Return what came of each turn: what the environment said next, and how the episode ended."""
    outcome = OUTCOME.format(outcome="success" if episode.success else "failure")
    return [f"{said} {outcome}".strip() for said in next_messages(episode)]


def expert_plans(episodes: Sequence[Episode], make_env: Callable[[], AgentEnv], max_turns: int) -> list[str]:
    """Return the expert's plan for each episode's task, empty where it finds none within `max_turns`.

    Raises `UsageError` where the environment has no expert.
    """
    plans: list[str] = []
    with closing(make_env()) as env:
        for episode in episodes:
            played = demonstrate(env, episode.task, noise=0.0, seed=episode.seed, max_turns=max_turns)
            plans.append("" if played is None else PLAN.format(plan=", ".join(map(str, played.actions))))
    return plans
