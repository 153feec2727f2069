"""Guides: guidance at work. Each finds, for groups that always fail, episodes that succeeded.

What they find is in the policy's own tokens and contexts, replayed answer by answer where another played.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from agentgym.agents.talking import TalkingAgent
from agentgym.core.env import AgentEnv
from agentgym.core.policy import Dictation
from agentgym.core.task import Task
from agentgym.core.trace import Episode
from agentgym.policies.local import LocalPolicy
from agentgym.rollout.collect import EpisodePlan, collect, derive_seed
from agentgym.rollout.rules import Rules
from agentgym.training.assembly import (
    env_factory,
    make_agent,
    make_env,
    newest_weights,
    open_model,
)
from agentgym.training.demonstrations import as_answers, to_teach
from agentgym.training.experts import Experts
from agentgym.training.guidance import ExpertGuidance, TeacherGuidance
from agentgym.training.packing import pack
from agentgym.training.recipe import Recipe
from agentgym.training.scoring import score_tokens

Recall: TypeAlias = Callable[[str], Episode]
"""Returns an earlier episode of the run by its id."""


@dataclass(frozen=True, slots=True)
class Group:
    """The rollouts of one task that are compared with each other."""

    id: str
    task: Task
    episodes: Sequence[Episode]
    helpers: frozenset[int] = frozenset()
    """Places of the members that another policy played, or this one at another time."""

    @property
    def guided(self) -> list[bool]:
        """Whether each member is one of the helpers."""
        return [place in self.helpers for place in range(len(self.episodes))]

    @property
    def scored(self) -> list[Episode]:
        """The members with a score."""
        return [episode for episode in self.episodes if episode.outcome.scored]

    @property
    def fails(self) -> bool:
        """Whether none of the scored members succeeded."""
        return not any(episode.success for episode in self.scored)

    def with_more(self, others: Sequence[Episode]) -> Group:
        """Return the group with helpers as members besides its own."""
        count = len(self.episodes)
        places = frozenset(range(count, count + len(others)))
        return replace(self, episodes=[*self.episodes, *others], helpers=self.helpers | places)

    def with_help(self, help_: Sequence[Episode], members: int) -> Group:
        """Return the group with at most `members` of its last scored members replaced, and at least one kept."""
        places = [place for place, episode in enumerate(self.episodes) if episode.outcome.scored][1:]
        taken = places[-min(members, len(help_)) :] if help_ else []
        episodes = list(self.episodes)
        for place, episode in zip(taken, help_, strict=False):
            episodes[place] = episode
        return replace(self, episodes=episodes, helpers=frozenset(taken))


class Guide(Protocol):
    """Finds help."""

    def offers(self, groups: Sequence[Group]) -> list[list[Episode]]:
        """Return successful episodes for each group's task, the best first; maybe none."""
        ...

    def take_in(self, episodes: Sequence[Episode]) -> None:
        """Hear what the policy itself played in an iteration."""
        ...


class Retelling:
    """Plays what others said once more through the policy's own agent, so that it is in the policy's tokens."""

    def __init__(
        self, agent: TalkingAgent, make_env: Callable[[], AgentEnv], max_turns: int, rules: Rules
    ) -> None:
        self.agent = agent
        self._make_env = make_env
        self._max_turns = max_turns
        self._rules = rules

    def collect(self, plans: Sequence[EpisodePlan], agent: TalkingAgent) -> list[Episode]:
        """Return the episodes of the plans, played by an agent that may be another."""
        playing = collect(
            plans, agent, self._make_env, concurrency=64, max_turns=self._max_turns, rules=self._rules
        )
        return asyncio.run(playing)

    def successes(self, plans: Sequence[EpisodePlan]) -> list[Episode]:
        """Return those of the plans' episodes that succeed, to be trained on; the plans are all prefix."""
        played = self.collect(plans, self.agent)
        replayed = [episode for episode in played if episode.success and episode.ended_in_prefix]
        return [to_teach(episode, [True] * len(episode.turns)) for episode in replayed]


class TeacherGuide:
    """Lets the teachers play; what the policy itself finds most probable comes first."""

    def __init__(
        self,
        recipe: Recipe,
        guidance: TeacherGuidance,
        policy: LocalPolicy,
        teachers: Sequence[TalkingAgent],
        retelling: Retelling,
    ) -> None:
        self._recipe = recipe
        self._candidates = guidance.candidates
        self._policy = policy
        self._teachers = teachers
        self._retelling = retelling

    def offers(self, groups: Sequence[Group]) -> list[list[Episode]]:
        """Return the teachers' successes for each group; see `Guide`."""
        found: dict[str, list[Episode]] = {group.id: [] for group in groups}
        for number, teacher in enumerate(self._teachers):
            plans = [
                self._plan(group, number, candidate)
                for group in groups
                for candidate in range(self._candidates)
            ]
            played = self._retelling.collect(plans, teacher)
            told = [
                replace(plan, prefix=_answers(episode)) for plan, episode in zip(plans, played, strict=True)
            ]
            won = [plan for plan, episode in zip(told, played, strict=True) if episode.success]
            for episode in self._retelling.successes(won):
                found[episode.group_id].append(episode)
        return [sorted(found[group.id], key=self._surprise) for group in groups]

    def take_in(self, episodes: Sequence[Episode]) -> None:
        """Do nothing: the teachers know what they know."""

    def _plan(self, group: Group, teacher: int, candidate: int) -> EpisodePlan:
        seed = derive_seed(self._recipe.seed, group.id, "teacher", teacher, candidate)
        return EpisodePlan(group.task, f"{group.id}/teacher-{teacher}-{candidate}", group.id, seed)

    def _surprise(self, episode: Episode) -> float:
        """Return minus the mean log-probability of an episode's tokens under the policy."""
        count = sum(int(turn.loss_mask.sum()) for turn in episode.turns)
        scores = score_tokens(
            self._policy.model,
            pack([episode]),
            count,
            temperature=self._recipe.rollout.temperature,
            tokens_per_microbatch=self._recipe.tokens_per_microbatch,
        )
        return -float(scores.logp_N.mean())


class ExpertGuide:
    """Offers the policy's own newest success on a task, or else an expert's solution."""

    def __init__(
        self, guidance: ExpertGuidance, experts: Experts | None, recall: Recall, retelling: Retelling
    ) -> None:
        self._guidance = guidance
        self._experts = experts
        self._recall = recall
        self._retelling = retelling

    def offers(self, groups: Sequence[Group]) -> list[list[Episode]]:
        """Return one success for each group where there is one; see `Guide`."""
        return [self._offer(group) for group in groups]

    def take_in(self, episodes: Sequence[Episode]) -> None:
        """Note the newest success on each task. They must be in the store before the next iteration."""
        for episode in episodes:
            if episode.success and not episode.ended_in_prefix:
                self._guidance.newest[episode.task.id] = episode.id

    def _offer(self, group: Group) -> list[Episode]:
        cached = self._guidance.newest.get(group.task.id)
        if cached is not None:
            return [replace(self._recall(cached), group_id=group.id)]
        solution = self._experts.solution(group.task) if self._experts is not None else None
        if solution is None:
            return []
        answers = as_answers(solution.actions, self._retelling.agent)
        return self._retelling.successes(
            [EpisodePlan(group.task, f"{group.id}/expert", group.id, solution.seed, answers)]
        )


def _answers(episode: Episode) -> tuple[Dictation, ...]:
    """Return what was said in an episode, as text: another tokenizer may have to read it."""
    return tuple(turn.messages_delta[-1].content for turn in episode.turns)


def make_guide(recipe: Recipe, policy: LocalPolicy, recall: Recall) -> Guide | None:
    """Make the guide of a recipe that has guidance; `recall` finds earlier episodes of the run."""
    guidance = recipe.guidance
    agent = make_agent(recipe, policy, recipe.rollout.temperature)
    retelling = Retelling(agent, env_factory(recipe), recipe.environment.max_turns, recipe.rollout.rules)
    if isinstance(guidance, TeacherGuidance):
        opened = [open_model(recipe, newest_weights(path)) for path in guidance.teachers]
        teachers = [
            make_agent(recipe, LocalPolicy(*teacher), recipe.rollout.temperature) for teacher in opened
        ]
        return TeacherGuide(recipe, guidance, policy, teachers, retelling)
    if isinstance(guidance, ExpertGuidance):
        turns = recipe.environment.max_turns
        experts = Experts(guidance.expert, lambda: make_env(recipe), turns) if guidance.expert else None
        return ExpertGuide(guidance, experts, recall, retelling)
    return None
