"""What the scripted evolver reads out of episodes: what was needed, what made it possible, on what it depends."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

import agentgym
from agentgym.agents.follower.agent import FollowerAgent
from agentgym.agents.follower.procedure import read_procedures
from agentgym.agents.scripted import OracleAgent
from agentgym.core.agent import Agent
from agentgym.core.env import AgentEnv
from agentgym.core.errors import LeakError
from agentgym.core.memory import ItemKind, MemoryItem, Relation
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode
from agentgym.evolution.distilling.lessons import Lesson, Replayer
from agentgym.evolution.distilling.places import places_tool
from agentgym.evolution.distilling.scripted import ScriptedEvolver
from agentgym.evolution.gate.mutation import mutation_score
from agentgym.evolution.gate.stages import GateRules
from agentgym.evolution.proposing import Distilled
from agentgym.memory.tools.runner import ToolRunner
from agentgym.rollout.collect import collect, plan_groups
from agentgym.sandboxes.backends import sandbox

household: Callable[[], AgentEnv] = partial(agentgym.make, "household", split="train", difficulty="easy")
backoffice: Callable[[], AgentEnv] = partial(agentgym.make, "backoffice", split="train", difficulty="easy")


def play(
    make_env: Callable[[], AgentEnv], agent: Agent, tasks: Sequence[Task], times: int = 1
) -> list[Episode]:
    plans = plan_groups(tasks, times, label="play", seed=0)
    return asyncio.run(collect(plans, agent, make_env, concurrency=8, max_turns=30))


def tasks_of(make_env: Callable[[], AgentEnv], kind: str, count: int) -> list[Task]:
    return [task for task in make_env().suite.tasks("train") if task.task_type == kind][:count]


@pytest.fixture
def replayer() -> Iterator[Replayer]:
    opened = Replayer(household)
    yield opened
    opened.close()


def test_a_success_is_cut_down_to_what_it_cannot_do_without(replayer: Replayer) -> None:
    """An expert who errs at every second turn: what is left is one way to success, and every action of it is needed."""
    tasks = tasks_of(household, "pick_heat_then_place_in_recep", 6)
    solved = [each for each in play(household, OracleAgent(noise=0.5), tasks) if each.success]
    assert len(solved) >= 3
    for episode in solved:
        lesson = replayer.lesson(episode)
        assert Lesson.from_json(lesson.to_json()) == lesson
        kept = [_text(lesson, place) for place in lesson.needed]
        assert len(kept) < len(episode.turns)
        assert _succeeds(episode, kept)
        for place in range(len(kept)):
            assert not _succeeds(episode, kept[:place] + kept[place + 1 :]), kept[place]
        made_possible = {_text(lesson, at).split()[0]: _text(lesson, by) for at, by in lesson.enables.items()}
        assert made_possible["take"].startswith(("heat", "move"))


def _text(lesson: Lesson, place: int) -> str:
    act = lesson.acts[place]
    return "".join(f"{piece}{value}" for piece, value in zip(act.pieces, (*act.values, ""), strict=True))


def _succeeds(episode: Episode, actions: Sequence[str]) -> bool:
    env = household()
    env.reset(seed=episode.seed, options={"task": episode.task})
    for action in actions:
        *_, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            return bool(info["success"])
    return False


def distil(make_env: Callable[[], AgentEnv], episodes: Sequence[Episode], batches: int = 1) -> Distilled:
    """What the evolver makes of episodes, given to it in so many batches."""
    evolver = ScriptedEvolver(make_env, tools=False)
    notes, found = list[Mapping[str, Any]](), Distilled()
    for batch in range(batches):
        part = episodes[batch * len(episodes) // batches : (batch + 1) * len(episodes) // batches]
        found = asyncio.run(evolver.distil(part, notes, "run"))
        notes += found.notes
    evolver.close()
    return found


@pytest.mark.parametrize("batches", [1, 3])
def test_sub_goals_their_preparations_and_the_only_kind_of_thing_are_found(batches: int) -> None:
    """From the expert's own way, told in one batch or in three."""
    episodes = play(household, OracleAgent(), tasks_of(household, "pick_heat_then_place_in_recep", 30))
    (proposal,) = distil(household, episodes, batches).proposals
    assert (proposal.item.kind, proposal.item.name) == (ItemKind.SKILL, "take-heat-move")
    for procedure in read_procedures(proposal.item.body):
        take, heat, move = procedure.steps
        assert str(heat) == "heat {x} with {microwave} (before: go to {microwave})"
        assert str(take.action) == "take {x} from {any thing}"
        assert {str(each) for each in take.before} == {"go to {any thing}", "open {any thing}"}
        assert str(move.action) == "move {x} to {y}"
        assert str(move.before[0]) == "go to {y}"
    assert len(proposal.provenance.sources) == 30
    assert {source.split for source in proposal.provenance.sources} == {Split.TRAIN}


def test_the_condition_on_which_one_way_or_the_other_solves_a_task_is_found() -> None:
    """The policy wants uninsured bookings left alone; nobody has told the evolver."""
    tasks = tasks_of(backoffice, "travel-cancel", 24)
    found = distil(backoffice, play(backoffice, FollowerAgent(), tasks, times=4))
    bodies = "\n".join(proposal.item.body for proposal in found.proposals)
    assert "[if insured is yes] cancel_booking(" in bodies
    assert "[unless insured is yes] reply(" in bodies


def test_the_same_episodes_give_the_same_versions_whatever_was_played_between() -> None:
    episodes = play(backoffice, FollowerAgent(), tasks_of(backoffice, "retail-total", 10), times=4)
    one, other = (
        {proposal.item.version for proposal in distil(backoffice, episodes, batches).proposals}
        for batches in (1, 4)
    )
    assert one == other != set()


def test_episodes_of_evaluated_tasks_are_refused() -> None:
    select = partial(agentgym.make, "household", split="select", difficulty="easy")
    task = select().suite.tasks("select")[0]
    (episode,) = asyncio.run(
        collect(
            plan_groups([task], 1, label="play", seed=0), OracleAgent(), select, concurrency=1, max_turns=40
        )
    )
    with pytest.raises(LeakError, match="'select'"):
        distil(household, [episode])


def test_what_the_agent_was_shown_is_in_the_lineage_of_what_it_teaches(replayer: Replayer) -> None:
    episodes = play(household, OracleAgent(), tasks_of(household, "pick_heat_then_place_in_recep", 4))
    shown = [
        replace(each, turns=[replace(each.turns[0], shown_items=("f" * 64,)), *each.turns[1:]])
        for each in episodes
    ]
    (proposal,) = distil(household, shown).proposals
    assert [(link.relation, link.version) for link in proposal.provenance.links] == [
        (Relation.CONTEXT, "f" * 64)
    ]


def places(replayer: Replayer) -> MemoryItem:
    tasks = household().suite.tasks("train")[:24]
    lessons = [replayer.lesson(episode) for episode in play(household, FollowerAgent(), tasks, times=2)]
    made = places_tool(lessons, {("go to ", ""), ("open ", "")})
    assert made is not None
    return made[0]


def test_the_tool_for_places_sorts_by_what_was_seen_and_its_tests_hold_it_to_that(replayer: Replayer) -> None:
    item, runner = places(replayer), ToolRunner(sandbox)
    told = item.files["scripts/tool.py"].decode().partition("ORDERS = ")[2].partition("\n\n\n")[0]
    orders: dict[str, list[str]] = json.loads(told)
    thing, order = max(orders.items(), key=lambda each: len(each[1]))
    assert len(order) > 2

    async def ask() -> None:
        mixed = random.Random(0).sample([*(f"{place} 1" for place in order), "nowhere 1"], len(order) + 1)
        answer = await runner.call(item, {"thing": f"{thing} 2", "places": mixed})
        assert answer.value == {"places": [*(f"{place} 1" for place in order), "nowhere 1"]}, answer.problem
        assert set((await runner.test(item)).values()) == {""}
        tests = {path: data for path, data in item.files.items() if path.startswith("tests/")}
        score = await mutation_score(item, tests, runner, most=8)
        assert score.share >= GateRules().least_killed, score.survivors

    asyncio.run(ask())


def test_too_few_sightings_make_no_tool_and_it_is_written_anew_only_at_twice_as_many(
    replayer: Replayer,
) -> None:
    tasks = household().suite.tasks("train")[:20]
    lessons = [replayer.lesson(episode) for episode in play(household, FollowerAgent(), tasks, times=2)]
    looking = {("go to ", ""), ("open ", "")}
    assert places_tool(lessons[:1], looking) is None
    made = [places_tool(lessons[:count], looking) for count in (32, 39)]
    assert made[0] is not None
    assert made[1] is not None
    assert made[0][0].version == made[1][0].version
