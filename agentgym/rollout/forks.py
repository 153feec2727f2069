"""Forks: other continuations of a recorded episode, from any of its turns.

    plans = branch(episode, turn=3, n=4)
    others = asyncio.run(collect(plans, agent, make_env, concurrency=4, max_turns=20))

The turns before the fork are told to the agent token for token, so that a policy which keeps keys and values shares
them between the branches; they are there in each branch as they were recorded, and nothing of them is trained on but
in the trunk. The agent must be the one that played the episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agentgym.core.errors import NotForkableError, UsageError
from agentgym.core.policy import Dictation
from agentgym.core.trace import Episode, Origin, Turn
from agentgym.rollout.collect import EpisodePlan, derive_seed
from agentgym.rollout.start import Start, Stop


def branch(
    episode: Episode, turn: int, n: int, *, trail: Sequence[Stop] = (), label: str = "branch", seed: int = 0
) -> list[EpisodePlan]:
    """Return plans of `n` continuations of an episode from the state before its turn `turn` (from 0).

    With the `trail` that was kept while the episode was played (see `collect`), the environment comes back by a
    snapshot; else the actions are replayed, and a branch whose environment does not do what it did ends as `env_error`
    with an `EnvironmentFault` that names the turn. The branches are called `EPISODE/LABEL-TURN-NUMBER`, and what they
    sample depends on the name and on `seed`.

    Raises `UsageError` for a turn that the episode does not have, and `NotForkableError` where the conversation before
    it cannot be told again: its answers were not kept, or are only a part of what was sampled.
    """
    if n < 1:
        raise UsageError(f"A fork needs at least one branch, got n={n}.")
    names = [f"{episode.id}/{label}-{turn}-{number}" for number in range(n)]
    plans = [EpisodePlan(episode.task, name, episode.group_id, derive_seed(seed, name)) for name in names]
    return [branch_off(plan, episode, turn, trail) for plan in plans]


def branch_off(plan: EpisodePlan, trunk: Episode, turn: int, trail: Sequence[Stop] = ()) -> EpisodePlan:
    """Return `plan` so that it goes on from the state before a turn of `trunk`, in its world and by its own seed.

    Raises what `branch` raises.
    """
    if not 0 <= turn < len(trunk.turns):
        raise UsageError(
            f"Episode {trunk.id} has {len(trunk.turns)} turns; fork it at one from 0 to {len(trunk.turns) - 1}, "
            f"not at {turn}."
        )
    past, here = tuple(trunk.turns[:turn]), trunk.turns[turn]
    stops = tuple(trail[: turn + 1]) if len(trail) > turn else ()
    return replace(
        plan,
        seed=trunk.seed,
        agent_seed=plan.seed if plan.agent_seed is None else plan.agent_seed,
        prefix=tuple(_told(trunk, number) for number in range(turn)),
        start=Start(past, here.observation, here.state_key, stops, _origin(trunk, turn)) if past else None,
    )


def forkable(episode: Episode) -> int:
    """Return how many turns, from the first one on, an episode can be forked at: all those before which every turn is
    one answer that was kept."""
    untold = (number for number, turn in enumerate(episode.turns, 1) if _answer(turn) is None)
    return min(next(untold, len(episode.turns)), len(episode.turns))


def _told(episode: Episode, number: int) -> Dictation:
    answer = _answer(episode.turns[number])
    if answer is None:
        raise NotForkableError(
            f"Turn {number} of episode {episode.id} cannot be told again: it kept neither tokens nor text of an answer, "
            "or several completions, of which only one can be told. Fork the episode at an earlier turn."
        )
    return answer


def _answer(turn: Turn) -> Dictation | None:
    """Return the token ids that a turn's answer was sampled as, or else its text; None where that does not tell all."""
    if turn.thoughts:
        return None
    if len(turn.completion_ids):
        return tuple(turn.completion_ids.tolist())
    if turn.messages_delta and turn.messages_delta[-1].role == "assistant":
        return turn.messages_delta[-1].content
    return None


def _origin(trunk: Episode, turn: int) -> Origin:
    """Return where a branch leaves: what the trunk itself shares with another is the other's."""
    if trunk.origin is not None and turn <= trunk.origin.turn:
        return Origin(trunk.origin.episode, turn)
    return Origin(trunk.id, turn)
