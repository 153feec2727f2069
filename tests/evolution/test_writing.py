"""An evolver that asks a model: what it shows it, and what it makes of any answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.errors import LeakError
from agentgym.core.memory import ItemKind, Source
from agentgym.core.policy import Completion, FinishReason, GenerationRequest
from agentgym.core.task import Split
from agentgym.core.trace import Episode, Outcome
from agentgym.evolution.writing import PolicyEvolver, read_items
from tests.memory.episodes import ANSWER, episode

SKILL = {"name": "find-things", "description": "For finding things.", "body": "1. Open what is closed."}
TOOL: dict[str, Any] = {
    "name": "add-up",
    "description": "Adds numbers.",
    "inputSchema": {"type": "object", "properties": {"numbers": {"type": "array"}}},
    "code": "def run(args):\n    return {'sum': sum(args['numbers'])}\n",
    "tests": {"test_sum.py": "from tool import run\nassert run({'numbers': [1, 2]}) == {'sum': 3}\n"},
}
BAD: list[Any] = [{**SKILL, "name": "../../etc"}, {**SKILL, "body": ""}, {"name": "x"}, "no skill", 3, None]


class Model:
    """Answers everything with one text."""

    version = 0

    def __init__(self, answer: str) -> None:
        self.answer, self.asked, self.ended = answer, list[str](), 0

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        self.asked += [request.messages[-1].content for request in requests]
        return [Completion(self.answer, FinishReason.STOP, 0) for _ in requests]

    def end_session(self, session_id: str) -> None:
        self.ended += 1


def group(name: str, *outcomes: Outcome, shown: tuple[str, ...] = ()) -> list[Episode]:
    made = [episode(f"{name}-{n}", outcome=each, shown=shown) for n, each in enumerate(outcomes)]
    return [replace(each, group_id=name) for each in made]


def test_what_tells_most_is_asked_about_first_and_named_as_the_source() -> None:
    model = Model(json.dumps({"skills": [SKILL], "tools": [TOOL]}))
    episodes = [
        *group("solved", Outcome.SUCCESS, Outcome.SUCCESS),
        *group("failed", Outcome.FAILURE),
        *group("broken", Outcome.ENV_ERROR),
        *group("both", Outcome.FAILURE, Outcome.SUCCESS, shown=("f" * 64,)),
    ]
    evolver = PolicyEvolver(model, name="some-model", groups=2)
    found = asyncio.run(evolver.distil(episodes, [], "run"))
    assert len(model.asked) == model.ended == 2
    assert "Episode (solved)" in model.asked[0]
    assert "Episode (not solved)" in model.asked[0]
    assert "not solved" not in model.asked[1].partition("Episode (solved)")[2]
    assert not any(ANSWER in asked or "f" * 64 in asked for asked in model.asked), (
        "no answers, no memory shown"
    )
    first = found.proposals[0].provenance
    assert {source.episode for source in first.sources} == {"run/both-0", "run/both-1"}
    assert [link.version for link in first.links] == ["f" * 64]
    assert first.author == "some-model"
    assert [proposal.item.kind for proposal in found.proposals] == [ItemKind.SKILL, ItemKind.TOOL] * 2


@pytest.mark.parametrize("kind", ["skills", "tools"])
def test_what_is_no_skill_and_no_tool_is_left_out_and_the_rest_stays(kind: str) -> None:
    good = SKILL if kind == "skills" else TOOL
    more: list[Any] = [{**TOOL, "code": "def ran(args): ..."}, {**TOOL, "inputSchema": []}]
    bad = [*BAD, *(more if kind == "tools" else [])]
    answer = f"Sure!\n```json\n{json.dumps({kind: [*bad, good]})}\n```"
    (item,) = read_items(answer, env_id="test/World-v0", space="team")
    assert (item.name, item.env_id, item.space) == (good["name"], "test/World-v0", "team")


@given(
    st.text(max_size=60),
    st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5),
)
def test_any_answer_is_read(text: str, value: object) -> None:
    assert read_items(text, env_id="e") == []
    assert read_items(json.dumps({"skills": value, "tools": value}), env_id="e") == []
    assert read_items(json.dumps(value), env_id="e") == []


def test_episodes_of_evaluated_tasks_are_refused_before_anything_is_asked() -> None:
    model = Model("{}")
    leaked = episode(split=Split.HELDOUT)
    with pytest.raises(LeakError):
        asyncio.run(PolicyEvolver(model, name="m").distil([leaked], [], "run"))
    assert model.asked == []
    assert Source.of(episode()).split is Split.TRAIN
