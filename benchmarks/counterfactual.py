"""How well turn advantages agree with what turns were worth: rank correlations, with intervals.

    python -m benchmarks.counterfactual --policy RUN [--tasks 16] [--continuations 16] [--branching none lone_steps]

Plays groups of train tasks as the run's recipe does, then plays every episode on from the state before each of its
turns, `--continuations` times: a turn is worth its reward plus what the state after it brought, minus what the state
before it brought. Prints Spearman's rho of that with the advantages of GRPO, GiGPO, the step half of GiGPO alone, and
HGPO (without penalties for invalid actions, which are no part of the value), over the turns of the policy's own, with a
95 % interval over resamples of the tasks; the greatest rho that the noise of the values leaves; and how many turns have
another turn of the same state to be compared with. `--warm-start` takes the model that reinforcement began with.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from agentgym.core.trace import Episode
from agentgym.evaluation.correlation import clustered_rank_correlation, reliability
from agentgym.policies.local import LocalPolicy
from agentgym.rollout.counterfactual import TurnValues, turn_values
from agentgym.training.advantages.base import Advantage
from agentgym.training.advantages.group import GroupMean
from agentgym.training.advantages.hierarchy import Hierarchy
from agentgym.training.advantages.step import StepGroup
from agentgym.training.assembly import env_factory, make_agent, newest_weights, open_model
from agentgym.training.progress import Silent
from agentgym.training.recipe import Recipe, load_recipe
from agentgym.training.rollouts import Rollouts
from agentgym.training.run import Run
from agentgym.training.turns import TurnTable, Values
from agentgym.training.watch import Watch

GAMMA = 0.95


class StepHalf(StepGroup, name="step_half"):
    """The step advantage of GiGPO without the episode's."""

    def __call__(self, turns: TurnTable) -> Values:
        """Return the step advantage of each turn, shape (R,)."""
        return super().__call__(turns) - GroupMean(**self.model_dump(include=set(GroupMean.model_fields)))(
            turns
        )


ESTIMATORS: dict[str, Advantage] = {
    "GRPO": GroupMean(std=True),
    "GiGPO": StepGroup(gamma=GAMMA),
    "GiGPO, step half": StepHalf(gamma=GAMMA),
    "HGPO": Hierarchy(gamma=GAMMA),
}


class Played(NamedTuple):
    """Groups of episodes and what their turns were worth."""

    episodes: list[Episode]
    values: list[TurnValues]


def play(run: Run, recipe: Recipe, policy: LocalPolicy, continuations: int) -> Played:
    """Play one iteration's groups, and every turn's continuations."""
    rollouts = Rollouts(recipe, policy, Watch(run, Silent()))
    played = rollouts.play(0, lambda episode, phase: None).episodes
    episodes = [episode for episode in played if episode.outcome.scored]
    values = asyncio.run(
        turn_values(
            episodes,
            make_agent(recipe, policy, recipe.rollout.temperature),
            env_factory(recipe),
            n=continuations,
            max_turns=recipe.environment.max_turns,
            concurrency=recipe.rollout.concurrency,
            gamma=GAMMA,
            rules=recipe.rollout.rules,
        )
    )
    return Played(episodes, values)


def report(name: str, played: Played, table: Table) -> None:
    """Add a row for each estimator."""
    turns = TurnTable.from_episodes(played.episodes)
    worth_R, one_R, other_R = (
        np.concatenate([values.turns(part) for values in played.values])
        for part in (slice(None), slice(0, None, 2), slice(1, None, 2))
    )
    own_R = (turns.tokens_R > 0) & np.isfinite(one_R) & np.isfinite(other_R)
    most = float(np.sqrt(reliability(one_R[own_R], other_R[own_R])))
    state_R = turns.chosen(turns.state_R)
    compared = float((np.bincount(state_R)[state_R] > 1)[own_R].mean())
    success = np.mean([episode.success for episode in played.episodes])
    for number, (estimator, advantage) in enumerate(ESTIMATORS.items()):
        found = clustered_rank_correlation(advantage(turns)[own_R], worth_R[own_R], turns.group_R[own_R])
        table.add_row(
            name if number == 0 else "",
            estimator,
            f"{found.value:.3f}",
            f"{found.interval.low:.3f} to {found.interval.high:.3f}",
            *(
                [f"{most:.3f}", f"{compared:.0%}", f"{own_R.sum()}", f"{success:.0%}"]
                if number == 0
                else [""] * 4
            ),
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policy", type=Path, required=True, help="a run's directory")
    parser.add_argument("--warm-start", action="store_true", help="the model that reinforcement began with")
    parser.add_argument("--tasks", type=int, default=16)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--continuations", type=int, default=16, help="of each turn; an even number")
    parser.add_argument("--branching", nargs="+", default=["none"], help="parts, such as none lone_steps")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    run = Run.open(options.policy)
    table = Table("branching", "advantage", "rho", "95 % interval", "most", "compared", "turns", "success")
    for branching in options.branching:
        recipe = load_recipe(
            run.path / "recipe.toml",
            [
                f"branching={branching}",
                f"rollout.tasks={options.tasks}",
                f"rollout.group_size={options.group_size}",
                f"seed={options.seed}",
            ],
        )
        weights = str(run.warm_start) if options.warm_start else newest_weights(str(run.path))
        policy = LocalPolicy(*open_model(recipe, weights))
        report(branching, play(run, recipe, policy, options.continuations), table)
    Console().print(table)


if __name__ == "__main__":
    main()
