"""New answers of a policy to recorded states, as episodes of one turn each.

Legend: S states, N answers to each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agentgym.core.policy import Sampling
from agentgym.core.trace import Episode
from agentgym.policies.engine import Engine, Row
from agentgym.policies.lanes import Lane
from agentgym.rollout.collect import derive_seed
from agentgym.training.turns import Indices


def answer_anew(
    engine: Engine, episodes: Sequence[Episode], chosen: Indices, answers: int, sampling: Sampling, seed: int
) -> list[Episode]:
    """Return `answers` episodes of one turn for each of the `chosen` turns (rows of their credit table), next to each
    other: the turn's context as its prompt and a new answer. Reward, state and group are the recorded turn's.
    """
    turns = [(episode, number) for episode in episodes for number in range(len(episode.turns))]
    states = [turns[int(row)] for row in chosen]
    contexts = [_context(*state) for state in states]
    rows = [
        _row(context, sampling, derive_seed(seed, place, answer))
        for place, context in enumerate(contexts)
        for answer in range(answers)
    ]
    for row in rows:
        engine.submit(row)
    while engine.busy:
        engine.step()
    for row in rows:
        if row.fault is not None:
            raise row.fault
    return [
        _as_episode(*states[index // answers], contexts[index // answers], row, f"answer-{index}")
        for index, row in enumerate(rows)
    ]


def _context(episode: Episode, number: int) -> NDArray[np.int32]:
    """Return the tokens before a turn's answer."""
    ids = np.empty(0, np.int32)
    turn = episode.turns[number]
    before = [part for past in episode.turns[:number] for part in past.completions]
    for part in (*before, *turn.thoughts):
        ids = np.concatenate([ids[: part.prompt_start], part.prompt_ids, part.completion_ids])
    return np.concatenate([ids[: turn.prompt_start], turn.prompt_ids])


def _row(context: NDArray[np.int32], sampling: Sampling, seed: int) -> Row:
    uniforms = np.random.Generator(np.random.PCG64(seed)).random(sampling.max_tokens, np.float32)
    return Row(Lane(f"answer {seed}"), context.tolist(), len(context), 0, sampling, uniforms.tolist())


def _as_episode(episode: Episode, number: int, context: NDArray[np.int32], row: Row, name: str) -> Episode:
    sampled = np.array(row.sampled_ids, np.int32)
    turn = replace(
        episode.turns[number],
        prompt_start=0,
        prompt_ids=context,
        completion_ids=sampled,
        logprobs=np.array(row.logprobs, np.float32),
        loss_mask=np.ones(len(sampled), np.int8),
        policy_version=-1,
        thoughts=(),
    )
    return replace(episode, id=f"{episode.id}/{number}/{name}", turns=(turn,))
