"""The agent without a model: it reads procedures as they are shown, follows them, and tries things out otherwise."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentgym
from agentgym.agents.follower.agent import FollowerAgent
from agentgym.agents.follower.knowledge import Knowledge
from agentgym.agents.follower.procedure import (
    Condition,
    Procedure,
    Step,
    Template,
    read_procedures,
    wish_of,
)
from agentgym.core.agent import EpisodeStart
from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemKind, MemoryItem, Recollection
from agentgym.core.task import Task
from agentgym.core.tool import ToolSpec
from agentgym.core.trace import Episode, Outcome, Versions
from agentgym.memory.recall import Recall
from agentgym.memory.rendering import render_block
from agentgym.memory.store.store import MemoryStore
from agentgym.rollout.collect import collect, plan_groups
from tests.agents.boxes import TextBoxes, ToolBoxes

CLEAN = Procedure(
    (Template.parse("Your task is to: put a clean {x} on {y}."),),
    (
        Step(
            Template.parse("take {x} from {any thing}"),
            (Template.parse("go to {any thing}"), Template.parse("open {any thing}")),
        ),
        Step(Template.parse("clean {x} with {sinkbasin}"), (Template.parse("go to {sinkbasin}"),)),
        Step(Template.parse("move {x} to {y}"), (Template.parse("go to {y}"), Template.parse("open {y}"))),
    ),
)
TOTAL = Procedure(
    (Template.parse("User: What is the total of order {order_id}?"),),
    (
        Step(Template.parse('get_order({"order_id": "{order_id}"})')),
        Step(Template.parse('cancel_order({"order_id": "{order_id}"})'), (), Condition("status", "no such")),
        Step(Template.parse('reply({"message": "{total}"})')),
    ),
)
texts = st.text("abc xyz_().,'-", min_size=1, max_size=12).map(str.strip).filter(bool)
names = st.sampled_from(["x", "order_id", "any thing", "other x", "body 2"])
templates = st.tuples(texts, names, texts).map(
    lambda parts: Template.parse(f"{parts[0]} {{{parts[1]}}} {parts[2]}")
)


def play(env: str, wish: Procedure, procedure: Procedure | None, folder: Path) -> list[Episode]:
    """Episodes of six tasks that `wish` fits, shown the procedure as a skill."""
    with MemoryStore(folder / "memory.db") as store:
        memory = None
        if procedure is not None:
            item = MemoryItem(ItemKind.SKILL, "how", str(procedure.triggers[0]), str(procedure))
            memory = Recall(store, store.take_snapshot([store.put(item)]))
        world = agentgym.make(env, split="select", difficulty="easy")
        fits = (
            task for task in world.suite.tasks("select") if wish.bind(wish_of(_told(world, task))) is not None
        )
        plans = plan_groups(list(islice(fits, 6)), 1, label="play", seed=0)
        return asyncio.run(collect(plans, FollowerAgent(memory), lambda: world, concurrency=1, max_turns=40))


def _told(world: Any, task: Task) -> str:
    return world.reset(seed=0, options={"task": task})[0]


@pytest.mark.parametrize(("env", "procedure"), [("household", CLEAN), ("backoffice", TOTAL)])
def test_a_procedure_that_is_shown_is_followed_to_success(
    env: str, procedure: Procedure, tmp_path: Path
) -> None:
    shown, again, alone = (play(env, procedure, each, tmp_path) for each in (procedure, procedure, None))
    assert [(episode.success, len(episode.turns[0].shown_items)) for episode in shown] == [(True, 1)] * 6
    assert sum(episode.success for episode in alone) < 6
    assert not any(turn.shown_items for episode in alone for turn in episode.turns)
    one, other = ([[str(turn.action) for turn in each.turns] for each in played] for played in (shown, again))
    assert one == other, "equal seeds and memory, equal episodes"


@given(
    st.lists(templates, min_size=1, max_size=3, unique=True),
    st.lists(st.tuples(templates, st.lists(templates, max_size=2)), min_size=1, max_size=4),
)
def test_procedures_are_read_as_they_were_written_even_from_a_memorys_block(
    triggers: list[Template], steps: list[tuple[Template, list[Template]]]
) -> None:
    procedure = Procedure(tuple(triggers), tuple(Step(action, tuple(before)) for action, before in steps))
    item = MemoryItem(ItemKind.SKILL, "how", "For tasks.", f"{procedure}\n\n{procedure}")
    assert read_procedures(render_block([item], whole_skills=True)) == [procedure, procedure]


@given(st.text(max_size=300))
def test_nothing_that_is_shown_makes_it_fall_over(text: str) -> None:
    for procedure in read_procedures(
        f"When the task reads: {text}\nSteps:\n1. {text}\n2. [if a is b] {text}"
    ):
        procedure.bind(text)
        for step in procedure.steps:
            assert Knowledge().matching(step.action, [text]) in ([], [text])


def test_variables_stand_for_what_the_task_the_world_and_the_kind_of_thing_say() -> None:
    knows = Knowledge()
    knows.bind({"x": "mug"})
    knows.observe('{"status": "pending", "total": 12.5, "items": [1]}')
    assert knows.fields == {"status": "pending", "total": "12.5"}
    assert knows.holds(Condition("status", "pending"))
    assert not knows.holds(Condition("status", "pending", False))
    take = Template.parse("take {x} from {any thing}")
    actions = ["take mug 1 from shelf 1", "take mug 2 from shelf 1", "take cup 1 from shelf 1"]
    assert knows.matching(take, actions) == actions[:2]
    knows.settle(take, actions[0])
    assert knows.matching(take, actions) == actions[:1], "from now on x is this mug"
    assert knows.matching(Template.parse("take {other x} from {any thing}"), actions) == actions[1:2]
    assert knows.filled(Template.parse('say({"it": "{total}"})'), []) == 'say({"it": "12.5"})'
    assert knows.filled(Template.parse('say({"it": "{unknown}"})'), []) is None


class Preferring:
    """A memory that shows a procedure and a tool which sorts places, with `answer` for what it answers."""

    versions = Versions()
    tools = (ToolSpec("best-first", "Sorts.", {"type": "object", "properties": {"thing": {}, "places": {}}}),)

    def __init__(self, answer: Callable[[list[str]], object]) -> None:
        self.answer, self.asked = answer, list[Mapping[str, Any]]()

    async def recall(self, start: EpisodeStart, situation: str) -> Recollection:
        return Recollection(f'<item id="1" kind="tool" name="best-first">\n</item>\n{CLEAN}', ("skill",))

    async def call(self, start: EpisodeStart, name: str, arguments: Mapping[str, Any]) -> Recollection:
        self.asked.append(arguments)
        return Recollection(json.dumps(self.answer(list(arguments["places"]))), ("tool",))


def backwards(places: list[str]) -> object:
    return {"places": sorted(places, reverse=True)}


def nothing(places: list[str]) -> object:
    return {"places": []}


def nonsense(places: list[str]) -> object:
    return "no idea"


@pytest.mark.parametrize(("answer", "sorted_by_it"), [(backwards, True), (nothing, False), (nonsense, False)])
def test_where_to_look_first_is_asked_of_a_tool_that_is_shown(
    answer: Callable[[list[str]], object], sorted_by_it: bool
) -> None:
    memory = Preferring(answer)
    world = agentgym.make("household", split="select", difficulty="easy")
    fits = (
        task for task in world.suite.tasks("select") if CLEAN.bind(wish_of(_told(world, task))) is not None
    )
    plans = plan_groups([next(fits)], 1, label="play", seed=0)
    (episode,) = asyncio.run(
        collect(plans, FollowerAgent(memory), lambda: world, concurrency=1, max_turns=40)
    )
    assert episode.success, "with a tool that answers nonsense too"
    first = memory.asked[0]
    assert first["thing"] in wish_of(episode.turns[0].observation)
    assert "tool" in episode.turns[0].shown_items
    went = [str(turn.action) for turn in episode.turns if str(turn.action).startswith("go to ")]
    assert (went[0] == f"go to {max(first['places'])}") is sorted_by_it


def test_worlds_that_say_nothing_of_what_is_possible_are_refused() -> None:
    class Silent(TextBoxes):
        def _info(self, *, valid: bool, success: bool = False) -> dict[str, Any]:
            return {"valid": valid, "success": success}

    plans = plan_groups(Silent.suite.tasks("train")[:1], 1, label="play", seed=0)
    with pytest.raises(UsageError, match="neither offers tools nor says what is possible"):
        asyncio.run(collect(plans, FollowerAgent(), Silent, concurrency=1, max_turns=3))


def test_it_never_asks_the_expert() -> None:
    class Guarded(ToolBoxes):
        def oracle(self) -> Any:
            raise AssertionError("the expert was asked")

    plans = plan_groups(Guarded.suite.tasks("train")[:6], 1, label="play", seed=0)
    episodes = asyncio.run(collect(plans, FollowerAgent(), Guarded, concurrency=1, max_turns=6))
    assert {episode.outcome for episode in episodes} <= {Outcome.SUCCESS, Outcome.FAILURE, Outcome.TRUNCATED}
