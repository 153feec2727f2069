"""Replay: a record that the environment still gives passes, and any change to either is found where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agentgym
from agentgym.agents.scripted import RandomAgent, ScriptedAgent
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.errors import EnvironmentFault, TaskError
from agentgym.core.trace import Episode, Outcome, Turn
from agentgym.environments.household.env import HouseholdEnv
from agentgym.rollout.collect import collect, plan_groups
from agentgym.rollout.episode import run_episode
from agentgym.rollout.replay import Difference, replay
from agentgym.store.store import Store


def make_env() -> AgentEnv:
    return agentgym.make("household", difficulty="easy")


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    plans = plan_groups(make_env().suite.tasks("train")[:6], 2, label="e", seed=4)
    return asyncio.run(collect(plans, RandomAgent(), make_env, concurrency=3, max_turns=9))


@pytest.fixture(scope="module")
def solved() -> Episode:
    env = make_env()
    task = env.suite.tasks("train")[5]
    env.reset(seed=1, options={"task": task})
    actions: list[Any] = []
    while (action := env.oracle()) is not None:
        actions.append(action)
        env.step(action)
    return asyncio.run(
        run_episode(
            env,
            ScriptedAgent(["look", "fly away", *actions]),
            task,
            episode_id="solved",
            group_id="g",
            seed=1,
            max_turns=60,
        )
    )


def test_what_was_recorded_is_done_again(episodes: list[Episode], solved: Episode, tmp_path: Path) -> None:
    env = make_env()
    assert solved.success
    assert not solved.turns[1].valid
    for episode in (*episodes, solved, *reversed(episodes)):
        assert replay(episode, env) is None
    with Store(tmp_path / "store.sqlite") as store:
        store.create_run("run", "train", config={}, versions={})
        store.write_episodes("run", episodes, iteration=0)
        assert [replay(episode, env) for episode in store.episodes("run")] == [None] * len(episodes)


CHANGES: dict[str, Callable[[Turn], Turn]] = {
    "observation": lambda turn: replace(turn, observation=f"{turn.observation} Or so."),
    "state_key": lambda turn: replace(turn, state_key=f"{turn.state_key}!"),
    "reward": lambda turn: replace(turn, reward=turn.reward + 0.25),
    "terminated": lambda turn: replace(turn, terminated=not turn.terminated),
    "truncated": lambda turn: replace(turn, truncated=not turn.truncated),
}


@settings(max_examples=40, deadline=None)
@given(data=st.data(), field=st.sampled_from(sorted(CHANGES)))
def test_a_changed_record_is_found_where_it_was_changed(
    episodes: list[Episode], data: st.DataObject, field: str
) -> None:
    episode = data.draw(st.sampled_from(episodes))
    place = data.draw(st.integers(0, len(episode.turns) - 1))
    turns = list(episode.turns)
    turns[place] = CHANGES[field](turns[place])
    found = replay(replace(episode, turns=turns), make_env())
    assert found is not None
    assert (found.turn, found.field) == (place, field)
    recorded, got = getattr(turns[place], field), getattr(episode.turns[place], field)
    assert (found.recorded, found.got) == (recorded, got)
    assert str(found).startswith(f"turn {place}: {field} was recorded as")


def test_another_action_is_found_by_what_it_leads_to(solved: Episode) -> None:
    turns = list(solved.turns)
    turns[1] = replace(turns[1], action="inventory")
    found = replay(replace(solved, turns=turns), make_env())
    assert found is not None
    assert (found.turn, found.field) == (2, "observation")


def test_validity_is_held_against_the_environment_only_where_it_was_recorded(solved: Episode) -> None:
    turns = [replace(turn, valid=True) for turn in solved.turns]
    found = replay(replace(solved, turns=turns), make_env())
    assert found == Difference(1, "valid", True, False)
    unread = [replace(turn, valid=False) for turn in solved.turns]
    assert replay(replace(solved, turns=unread), make_env()) is None


def test_the_end_is_compared_where_there_is_a_score(solved: Episode) -> None:
    last = len(solved.turns)
    failed = replace(solved, outcome=Outcome.FAILURE)
    assert replay(failed, make_env()) == Difference(last, "success", False, True)
    other = replay(replace(solved, final_observation="Night falls."), make_env())
    assert other is not None
    assert (other.turn, other.field) == (last, "final_observation")
    assert str(other).endswith(f"was recorded as 'Night falls.', and is {solved.final_observation!r}")
    cut = replace(
        solved, turns=solved.turns[:3], outcome=Outcome.ENV_ERROR, score=None, final_observation=None
    )
    assert replay(cut, make_env()) is None


def test_long_texts_are_shown_where_they_differ() -> None:
    text = "word " * 100
    found = str(Difference(3, "observation", f"{text}here {text}", f"{text}there {text}"))
    assert "here word" in found
    assert "there word" in found
    assert found.count("...") == 4
    assert len(found) < 450


def test_what_the_environment_raises_names_the_turn(solved: Episode) -> None:
    class Breaks(HouseholdEnv):
        def step(self, action: Any) -> StepResult:
            if self._steps == 2:
                raise ZeroDivisionError("no more")
            return super().step(action)

    with pytest.raises(EnvironmentFault, match=r"Turn 2: .* raised ZeroDivisionError\('no more'\)"):
        replay(solved, Breaks(make_env().suite))  # type: ignore[arg-type]
    with pytest.raises(TaskError, match="belongs to split 'train'"):
        replay(solved, agentgym.make("household", "heldout"))
