from __future__ import annotations

from dataclasses import replace

import pytest

from agentgym.conformance.env import check_env
from agentgym.core.errors import TaskError
from agentgym.core.spaces import ToolCallSpace
from agentgym.core.task import Split, Task
from agentgym.environments.backoffice import SPEC
from agentgym.environments.backoffice.domain import Domain
from agentgym.environments.backoffice.domains import DOMAINS, HELDOUT_DOMAIN
from agentgym.environments.backoffice.tasks import Difficulty, Group
from agentgym.environments.backoffice.toolset import WORDS, Toolset

SUITE = SPEC.suite()
each_domain = pytest.mark.parametrize("domain", DOMAINS.values(), ids=lambda domain: domain.name)


def sample(split: Split, difficulty: str, count: int) -> list[Task]:
    return list(SPEC.suite(difficulty=difficulty).tasks(split)[:count])


@pytest.mark.parametrize("difficulty", list(Difficulty))
def test_there_are_as_many_as_promised_and_their_content_is_apart(difficulty: str) -> None:
    suite = SPEC.suite(difficulty=difficulty)
    sizes = {split: len(suite.tasks(split)) for split in Split}
    assert sizes == {
        Split.TRAIN: 9000 if difficulty == "easy" else 2000,
        Split.SELECT: 200,
        Split.HELDOUT: 200,
    }
    worlds = {split: {task.params["world"] for task in sample(split, difficulty, 200)} for split in Split}
    assert not worlds[Split.TRAIN] & worlds[Split.SELECT]
    assert not (worlds[Split.TRAIN] | worlds[Split.SELECT]) & worlds[Split.HELDOUT]


def test_each_group_of_heldout_differs_as_it_says() -> None:
    tasks = sample(Split.HELDOUT, "medium", 200)
    assert {group: sum(task.group == group for task in tasks) for group in Group} == dict.fromkeys(Group, 50)
    for task in tasks:
        domain = DOMAINS[task.params["domain"]]
        assert (task.group == Group.DOMAIN) == (domain.name == HELDOUT_DOMAIN)
        assert (task.group == Group.TOOLS) == (task.params["dialect"] == "formal")
        for rule, (known, others) in domain.rules.items():
            assert task.params["rules"][rule] in (others if task.group == Group.POLICY else known)
    for split in (Split.TRAIN, Split.SELECT):
        for task in sample(split, "medium", 200):
            assert task.params["domain"] != HELDOUT_DOMAIN
            assert task.params["dialect"] == "plain"


@each_domain
def test_domains_are_of_a_size(domain: Domain) -> None:
    assert len(domain.tools) >= 12
    assert len(domain.world(0)[1].content()) >= 200
    if domain.name != HELDOUT_DOMAIN:
        for known, others in domain.rules.values():
            assert not set(known) & set(others)


@each_domain
def test_dialects_rename_every_tool_and_none_twice(domain: Domain) -> None:
    for dialect in WORDS:
        specs = Toolset(domain.tools, dialect).specs
        assert len({spec.name for spec in specs}) == len(domain.tools) + 1
        for spec in specs:
            assert set(spec.input_schema["required"]) <= set(spec.input_schema["properties"])
    plain, formal = ({spec.name for spec in Toolset(domain.tools, dialect).specs} for dialect in WORDS)
    assert len(plain & formal) <= 4


@pytest.mark.parametrize("split", list(Split))
@pytest.mark.parametrize("difficulty", list(Difficulty))
def test_the_expert_solves_what_it_is_given(split: Split, difficulty: str) -> None:
    env = SPEC.make(split, difficulty=difficulty)
    needs: set[str] = set()
    for task in sample(split, difficulty, 48):
        _, info = env.reset(options={"task": task})
        reward = 0.0
        while not info["success"] and (call := env.oracle()) is not None:
            assert ToolCallSpace(env.tools).contains(call), (task.id, call)
            _, reward, _, _, info = env.step(call)
            assert info["valid"], (task.id, call)
        assert (reward, info["success"], info["progress"]) == (1.0, True, 1.0), task.id
        needs |= {f"{task.params['domain']}-{need}" for need, _ in task.params["needs"]}
        script = SUITE.script(task)
        assert script.goal or script.facts or any(stage.calls for stage in script.stages)
    assert len(needs) >= 11


def test_tasks_of_elsewhere_are_refused() -> None:
    env, task = SPEC.make(Split.TRAIN), SUITE.tasks("train")[0]
    for wrong in (
        replace(task, env_id="x"),
        replace(task, split=Split.SELECT),
        replace(task, params={"world": 1}),
    ):
        with pytest.raises(TaskError):
            env.reset(options={"task": wrong})


def test_it_keeps_the_contract() -> None:
    only = ["contract.gymnasium", "contract.info", "contract.step_errors", "contract.tasks", "semantic.replay",
            "semantic.state_key_false_splits", "semantic.state_key_collisions"]  # fmt: skip
    report = check_env("backoffice", options={"difficulty": "hard"}, only=only)
    assert report.passed, report
