"""How far a trained policy drifts from its goal over an episode, and what reminders do about it.

    python -m benchmarks.drift RUN [--tasks 60] [--above 0.02]

A run's newest policy plays the same `select` tasks greedily, with the goal said again under each observation, every third,
after an answer that has drifted more than `--above` nats per token, and never. Printed are success with its 95 % interval,
how often the goal was said, and the mean drift by turn (`agentgym.policies.divergence`).
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from agentgym.agents.chat import ChatAgent
from agentgym.agents.reminding import Reminders
from agentgym.core.policy import Sampling
from agentgym.core.task import Split
from agentgym.core.trace import Episode
from agentgym.evaluation.rates import success_rate
from agentgym.evaluation.results import EpisodeResult
from agentgym.evaluation.runner import choose_tasks, plan_evaluation
from agentgym.policies.divergence import DriftGauge
from agentgym.policies.local import LocalPolicy
from agentgym.rollout.collect import collect
from agentgym.training.assembly import env_factory, make_env, make_policy, newest_weights, open_model
from agentgym.training.context_drift import drift_metrics, turn_drift
from agentgym.training.recipe import Recipe
from agentgym.training.run import Run

TURNS = (1, 2, 4, 6, 9, 12, 15, 18)
"""Those whose drift is printed, counted from 0."""


def play(recipe: Recipe, policy: LocalPolicy, agent: ChatAgent, tasks: int) -> list[Episode]:
    """Play `select` tasks."""
    env = make_env(recipe, Split.SELECT)
    chosen = choose_tasks(env.suite.tasks(Split.SELECT), tasks)
    env.close()
    plans = plan_evaluation(chosen, 1, seed=0, label="drift")
    turns = recipe.environment.max_turns
    return asyncio.run(
        collect(plans, agent, env_factory(recipe, Split.SELECT), concurrency=16, max_turns=turns)
    )


def show(name: str, episodes: Sequence[Episode], gauge: DriftGauge) -> None:
    """Print a line of figures."""
    rate = success_rate([EpisodeResult.from_episode(episode, 0) for episode in episodes])
    drift_ET = [turn_drift(gauge, episode, "full") for episode in episodes]
    told = [turn.messages_delta[0].content for episode in episodes for turn in episode.turns[1:]]
    said = np.mean(["Your task is to: " in text for text in told])
    overall = drift_metrics(drift_ET)
    cells = [[each[turn] for each in drift_ET if turn < len(each)] for turn in TURNS]
    turns = "".join(f"{np.mean(cell):8.3f}" if cell else f"{'-':>8}" for cell in cells)
    print(
        f"{name:24}{rate.estimate:7.1%} ({rate.low:.1%} to {rate.high:.1%}) {said:6.0%}"
        f"{overall['context_drift']:9.3f}{turns}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="a training run's directory")
    parser.add_argument("--tasks", type=int, default=60, help="select tasks")
    parser.add_argument("--above", type=float, default=0.02, help="nats per token")
    given = parser.parse_args()
    run = Run.open(Path(given.run))
    recipe = run.recipe
    loaded = open_model(recipe, newest_weights(given.run))
    policy = make_policy(recipe, loaded)
    gauge = DriftGauge(loaded.model, loaded.tokenizer)
    agent = partial(
        ChatAgent,
        policy,
        system_prompt=recipe.agent.system_prompt,
        action_format=recipe.agent.action_format,
        sampling=Sampling(temperature=0.0, max_tokens=recipe.rollout.max_tokens),
    )
    kinds: Mapping[str, Reminders | None] = {
        "under each observation": Reminders(every=1),
        "under every third": Reminders(every=3),
        f"drift above {given.above:g}": Reminders(above=given.above, gauge=gauge),
        "never": None,
    }
    print(
        f"{'goal said again':24}{'success':>24}{'said':>7}{'drift':>9}"
        + "".join(f"{f'turn {n}':>8}" for n in TURNS)
    )
    for name, reminders in kinds.items():
        show(name, play(recipe, policy, agent(reminders=reminders), given.tasks), gauge)


if __name__ == "__main__":
    main()
