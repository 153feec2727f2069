"""The rollouts of a run: which tasks an iteration plays, and playing them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from agentgym.core.env import AgentEnv
from agentgym.core.memory import Memory
from agentgym.core.task import Task
from agentgym.core.trace import Episode
from agentgym.policies.local import LocalPolicy
from agentgym.policies.rendering import ChatRenderer
from agentgym.rollout.collect import EpisodePlan, Trails, collect, plan_groups
from agentgym.training.assembly import env_factory, make_agent, make_env, train_tasks
from agentgym.training.branching import Played, grow
from agentgym.training.curricula import BackToFront
from agentgym.training.demonstrations import as_answers
from agentgym.training.experience import Experience, Keep
from agentgym.training.experts import Experts, go_on
from agentgym.training.guides import Group, Guide
from agentgym.training.imagination.dreams import PHASE, Dreams
from agentgym.training.recipe import Recipe
from agentgym.training.second_attempts import SecondTries
from agentgym.training.task_sampling import Priority
from agentgym.training.watch import Watch


@runtime_checkable
class TracksTasks(Protocol):
    """An advantage that knows how much a task is worth playing."""

    def priority(self, task: str) -> float:
        """Return the weight of the task with this id, above 0."""
        ...


class Rollouts:
    """Plays groups of train tasks with a policy, as a recipe says. `guide` helps where the recipe has guidance, `dreams`
    are played where it imagines, and `memory` is what the agent is shown."""

    def __init__(
        self,
        recipe: Recipe,
        policy: LocalPolicy,
        watch: Watch,
        guide: Guide | None = None,
        dreams: Dreams | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._recipe = recipe
        self._dreams = dreams
        self._watch = watch
        self._monitor = watch.monitor()
        self._agent = make_agent(recipe, policy, recipe.rollout.temperature, memory=memory)
        self._policy = policy
        self._guide = guide
        self._experts: Experts | None = None
        self._tasks = train_tasks(recipe)
        if isinstance(recipe.curriculum, BackToFront):
            turns = recipe.environment.max_turns
            self._experts = Experts(recipe.curriculum.expert, lambda: make_env(recipe), turns)
            self._tasks = self._experts.among(self._tasks)
        self._priority: Priority | None = (
            recipe.advantage.priority if isinstance(recipe.advantage, TracksTasks) else None
        )

    def play(self, iteration: int, keep: Keep) -> Experience:
        """Play the groups of an iteration: a function of recipe, iteration, weights and the parts' memories.

        Rounds are played until the batch is full of groups that the sampling keeps; where it keeps none, the
        batch is what was played first. A group that lost members to faults of the infrastructure and has fewer
        with a score than the recipe's least is dropped.
        """
        self._monitor = self._watch.monitor()
        dreamt = self._dream(iteration, keep)
        sampling, wanted = self._recipe.sampling, self._recipe.rollout.tasks - len(dreamt)
        own: list[Group] = []
        groups: list[Group] = []
        kept: list[Group] = []
        for _ in range(sampling.most_rounds):
            tasks = sampling.draw(self._tasks, wanted, iteration, self._recipe.seed, self._priority)
            played = self._play(tasks, iteration, len(own), keep)
            for group in played:
                sampling.take_in(group.scored)
            helped = self._helped(played, keep)
            own, groups = [*own, *played], [*groups, *helped]
            kept += [group for group in helped if self._whole(group) and sampling.keeps(group.scored)]
            if len(kept) >= wanted:
                break
        self._watch.report(self._monitor, f"Iteration {iteration + 1}")
        if self._guide is not None:
            self._guide.take_in([episode for group in own for episode in group.episodes])
        whole = [group for group in groups if self._whole(group)]
        dropped = [group for group in (*groups, *dreamt) if not self._whole(group)]
        batch = [*(kept or whole)[:wanted], *(group for group in dreamt if self._whole(group))]
        return Experience(
            [episode for group in (*batch, *dropped) for episode in group.episodes],
            [guided for group in (*batch, *dropped) for guided in group.guided],
            {
                **self._metrics(iteration, own, batch, len(kept)),
                **self._dream_metrics(dreamt),
                "groups_dropped": float(len(dropped)),
            },
            frozenset(group.id for group in dropped),
        )

    def _whole(self, group: Group) -> bool:
        """Whether a group has lost no member, or has enough left to be learned from."""
        return len(group.scored) >= min(self._recipe.rollout.min_group, len(group.episodes))

    def _dream(self, iteration: int, keep: Keep) -> list[Group]:
        """Play the groups of an iteration that are played in a model of the environment."""
        tasks = self._dreams.tasks(iteration) if self._dreams is not None else []
        if self._dreams is None or not tasks:
            return []
        size = self._recipe.rollout.group_size
        plans = plan_groups(tasks, size, label=f"{PHASE}-{iteration:06d}", seed=self._recipe.seed)
        turns = self._recipe.curriculum.turn_limit(iteration, self._recipe.environment.max_turns)
        make_env = self._dreams.env_factory(tasks)
        played = self._collect(plans, turns, lambda episode: keep(episode, PHASE), make_env=make_env)
        return [
            Group(plans[first].group_id, plans[first].task, played[first : first + size])
            for first in range(0, len(plans), size)
        ]

    def _play(self, tasks: Sequence[Task], iteration: int, first: int, keep: Keep) -> list[Group]:
        """Play one group for each task; `first` groups of the iteration were played before."""
        size = self._recipe.rollout.group_size
        label = f"train-{iteration:06d}"
        plans = plan_groups(tasks, size, label=label, seed=self._recipe.seed, first=first)
        if self._experts is not None:
            plans = self._after_expert(plans, self._experts, iteration)
        groups = [plans[start : start + size] for start in range(0, len(plans), size)]
        return [
            Group(group[0].group_id, group[0].task, [member.episode for member in played])
            for group, played in zip(groups, self._in_rounds(groups, iteration, keep), strict=True)
        ]

    def _in_rounds(
        self, groups: Sequence[Sequence[EpisodePlan]], iteration: int, keep: Keep
    ) -> list[list[Played]]:
        """Play the members of groups: those that others may branch off first, then others as the branching says."""
        branching, vocabulary = self._recipe.branching, len(self._policy.tokenizer)
        trails: Trails | None = None if branching.name == "none" else {}
        turns = self._recipe.curriculum.turn_limit(iteration, self._recipe.environment.max_turns)
        played: list[list[Played]] = [[] for _ in groups]
        chosen = [list(group[: branching.trunks(len(group))]) for group in groups]
        while any(chosen):
            plans = [plan for members in chosen for plan in members]
            episodes = iter(self._collect(plans, turns, lambda episode: keep(episode, "train"), trails))
            for members, done in zip(chosen, played, strict=True):
                done += [Played(next(episodes), (trails or {}).get(plan.episode_id, ())) for plan in members]
            chosen = [
                grow(branching, done, group[len(done) :], vocabulary)
                for group, done in zip(groups, played, strict=True)
            ]
        return played

    def _collect(
        self,
        plans: Sequence[EpisodePlan],
        max_turns: int,
        on_episode: Callable[[Episode], None] | None = None,
        trails: Trails | None = None,
        make_env: Callable[[], AgentEnv] | None = None,
    ) -> list[Episode]:
        recipe = self._recipe
        rules = recipe.rollout.rules
        return asyncio.run(
            collect(
                plans,
                self._agent,
                make_env or env_factory(recipe),
                concurrency=recipe.rollout.concurrency,
                max_turns=max_turns,
                on_episode=on_episode,
                trails=trails,
                rules=rules if make_env is None else replace(rules, stepping=None),
                monitor=self._monitor,
            )
        )

    def _after_expert(
        self, plans: Sequence[EpisodePlan], experts: Experts, iteration: int
    ) -> list[EpisodePlan]:
        """Return the plans with as much of an expert's solution behind them as the curriculum says.

        The solution of each task is played once, and its members go on from a snapshot on the way; where the environment
        has none, each plays the actions again, in the solution's world.
        """
        told: dict[str, EpisodePlan] = {}
        for plan in plans:
            solution = None if plan.task.id in told else experts.solution(plan.task)
            if solution is not None:
                answers = as_answers(solution.actions, self._agent)
                name = f"{plan.group_id}/expert"
                told[plan.task.id] = EpisodePlan(plan.task, name, plan.group_id, solution.seed, answers)
        trails: Trails = {}
        played = self._collect(list(told.values()), self._recipe.environment.max_turns, trails=trails)
        ways = {episode.task.id: Played(episode, trails[episode.id]) for episode in played}
        behind = {
            task: self._recipe.curriculum.prefix(iteration, len(whole.prefix)) for task, whole in told.items()
        }
        return [
            go_on(plan, told[plan.task.id], ways[plan.task.id], behind[plan.task.id])
            if behind.get(plan.task.id)
            else plan
            for plan in plans
        ]

    def _helped(self, groups: Sequence[Group], keep: Keep) -> list[Group]:
        """Return the groups, with help in those that always fail, or second attempts in all."""
        if self._recipe.guidance.retries:
            return self._retried(groups, keep)
        if self._guide is None:
            return list(groups)
        failing = [group for group in groups if group.fails and len(group.scored) > 1]
        offers = dict(zip([group.id for group in failing], self._guide.offers(failing), strict=True))
        members = self._recipe.guidance.most_replaced
        helped = [group.with_help(offers.get(group.id, []), members) for group in groups]
        for group in helped:
            for episode, guided in zip(group.episodes, group.guided, strict=True):
                if guided and episode.versions.policy < 0:  # the policy's own is in the store already
                    keep(episode, "guided")
        return helped

    def _retried(self, groups: Sequence[Group], keep: Keep) -> list[Group]:
        """Return the groups with a second attempt for each scored member."""
        tries = SecondTries(
            self._agent,
            ChatRenderer(self._policy.tokenizer),
            env_factory(self._recipe),
            self._recipe.environment.max_turns,
            self._recipe.rollout.concurrency,
            self._recipe.rollout.rules,
            self._monitor,
        )
        seconds = tries.after([episode for group in groups for episode in group.scored])
        for episode in seconds:
            keep(episode, "guided")
        return [
            group.with_more([episode for episode in seconds if episode.group_id == group.id])
            for group in groups
        ]

    def _dream_metrics(self, dreamt: Sequence[Group]) -> dict[str, float]:
        """Return what came of the groups that were played in a model."""
        if self._dreams is None:
            return {}
        scored = [episode.success for group in dreamt for episode in group.scored]
        played = sum(len(group.episodes) for group in dreamt)
        return {
            "imagined_groups": float(len(dreamt)),
            "imagined_success": float(np.mean(scored)) if scored else 0.0,
            "imagined_faults": float(played - len(scored)),
        }

    def _metrics(
        self, iteration: int, own: Sequence[Group], batch: Sequence[Group], kept: int
    ) -> dict[str, float]:
        """Return the figures that the batch alone does not show."""
        recipe, found = self._recipe, dict[str, float]()
        scored = [episode for group in own for episode in group.scored]
        if scored:
            found["success"] = float(np.mean([episode.success for episode in scored]))
        if recipe.sampling.most_rounds > 1:
            found |= {"groups_played": float(len(own)), "groups_kept": float(kept)}
        if recipe.guidance.name != "none":
            found["guided_episodes"] = float(sum(sum(group.guided) for group in batch))
        if recipe.curriculum.name != "none" or recipe.branching.name != "none":
            turns = recipe.curriculum.turn_limit(iteration, recipe.environment.max_turns)
            replayed = [sum(turn.replayed for turn in episode.turns) for episode in scored]
            found["turn_limit"] = float(turns)
            found["replayed_turns"] = float(np.mean(replayed)) if replayed else 0.0
            found["ended_in_prefix"] = float(sum(episode.ended_in_prefix for episode in scored))
        return found
