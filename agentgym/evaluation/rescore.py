"""Saved episodes judged again, without playing them: by their environment as it is now, or by a function.

Only episodes with a score are judged: a fault of the infrastructure stays what it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from agentgym.core.env import AgentEnv
from agentgym.core.errors import EnvironmentFault, UsageError
from agentgym.core.trace import Episode, Outcome
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.results import EpisodeResult


class Judgement(NamedTuple):
    """What is made of an episode."""

    success: bool
    score: float


Scorer: TypeAlias = Callable[[Episode], Judgement | bool | float]
"""Judges an episode; or only says whether it solved its task, or its score, which above 0 says that it did."""


def rescore(episodes: Iterable[Episode], scorer: Scorer) -> Iterator[Episode]:
    """Yield the episodes with what `scorer` says of them as score and outcome.

    Raises `UsageError` where it says what is no finite number.
    """
    for episode in episodes:
        if not episode.outcome.scored:
            yield episode
            continue
        success, score = _judgement(episode, scorer(episode))
        yield replace(episode, outcome=_outcome(episode.outcome, success), score=score)


def by_playing(env: AgentEnv) -> Scorer:
    """Return a scorer that takes the recorded actions again in `env`, and believes its verdict of today.

    It raises `EnvironmentFault` naming the turn where the
    environment raises, and `TaskError` where it does not know the task.
    """

    def play(episode: Episode) -> Judgement:
        _, info = env.reset(seed=episode.seed, options={"task": episode.task})
        total = 0.0
        for position, turn in enumerate(episode.turns):
            if not env.action_space.contains(turn.action):
                break  # the environment was never given it
            try:
                _, reward, terminated, truncated, info = env.step(turn.action)
            except Exception as error:
                raise EnvironmentFault(
                    f"Turn {position} of {episode.id}: {turn.action!r:.200} raised {error!r}."
                ) from error
            total += float(reward)
            if terminated or truncated or info.get("success", False):
                break
        return Judgement(bool(info.get("success", False)), total)

    return play


def rescored(
    evaluation: Evaluation, episodes: Iterable[Episode], scorer: Scorer, name: str = ""
) -> Evaluation:
    """Return the evaluation with its episodes judged again; raises `UsageError` where one of them is missing.

    `name` is the scorer's, unless it is the environment.
    """
    judged = {episode.id: episode for episode in rescore(episodes, scorer)}
    missing = [result.episode_id for result in evaluation.results if result.episode_id not in judged]
    if missing:
        raise UsageError(f"{len(missing)} episodes of the evaluation are not kept, such as {missing[0]!r}.")
    results = tuple(
        EpisodeResult.from_episode(judged[result.episode_id], result.sample) for result in evaluation.results
    )
    return evaluation.model_copy(update={"results": results, "scorer": name})


def _judgement(episode: Episode, found: object) -> Judgement:
    if isinstance(found, bool | int | float):
        found = Judgement(found > 0, float(found))
    if not isinstance(found, Judgement) or not math.isfinite(found.score):
        raise UsageError(
            f"A scorer returns True, False, a finite number or a Judgement; for {episode.id!r} it returned {found!r:.80}."
        )
    return found


def _outcome(before: Outcome, solved: bool) -> Outcome:
    if solved:
        return Outcome.SUCCESS
    return Outcome.FAILURE if before is Outcome.SUCCESS else before
