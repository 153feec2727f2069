"""Curricula: the authors' tables, and recipes that ask an expert who is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentgym
from agentgym.core.env import AgentEnv
from agentgym.core.errors import ConfigError, StepError, UnknownNameError
from agentgym.core.task import Split, Task, TaskSuite
from agentgym.training.curricula import BackToFront, FrontToBack, WholeEpisodes
from agentgym.training.experts import Experts
from agentgym.training.recipe import load_recipe

VECTORS = Path(__file__).parents[1] / "golden" / "vectors" / "tcod.json"


def tables(kind: str) -> list[dict[str, Any]]:
    cases = json.loads(VECTORS.read_text("utf-8"))["cases"]
    return [case for case in cases if case["kind"] == kind]


@pytest.mark.parametrize("case", tables("f2b_schedule"), ids=lambda case: case["name"])
def test_front_to_back_cuts_where_the_authors_do(case: dict[str, Any]) -> None:
    given_, part = case["input"], FrontToBack(every=case["input"]["eta"])
    first, last = given_["step_range"]
    limits = [part.turn_limit(n, given_["max_env_steps"]) for n in range(first, last + 1)]
    expected = case["expected"]["k_per_step"]
    assert limits[: len(expected)] == expected
    assert part.prefix(first, 7) == 0


@pytest.mark.parametrize("case", tables("b2f_schedule"), ids=lambda case: case["name"])
def test_back_to_front_replays_what_the_authors_do(case: dict[str, Any]) -> None:
    given_, part = case["input"], BackToFront(every=case["input"]["eta"])
    first, last = given_["step_range"]
    lengths = [part.prefix(n, given_["expert_len"]) for n in range(first, last + 1)]
    expected = case["expected"]["teacher_prefix_len_per_step"]
    assert lengths[: len(expected)] == expected
    assert part.turn_limit(first, 30) == 30


@given(st.integers(0, 500), st.integers(0, 60), st.integers(1, 9))
def test_the_policy_always_has_a_turn_left(iteration: int, length: int, every: int) -> None:
    assert BackToFront(every=every).prefix(iteration, length) <= max(length - 1, 0)
    assert 1 <= FrontToBack(every=every).turn_limit(iteration, 30) <= 30
    assert WholeEpisodes().turn_limit(iteration, 30) == 30


class WithoutOracle(AgentEnv):
    """A world that has no expert."""

    @property
    def task(self) -> Task:
        raise StepError("There is nothing to play here.")

    def state_key(self) -> str:
        return ""


class WithoutOracleSpec:
    id = "test/WithoutOracle-v0"
    name = "without-oracle"
    summary = "No expert."

    def make(self, split: Split, **options: Any) -> AgentEnv:
        return WithoutOracle()

    def suite(self, **options: Any) -> TaskSuite:
        return agentgym.suite("household")


@pytest.fixture(scope="module")
def without_oracle() -> str:
    agentgym.register(WithoutOracleSpec())
    return f"environment.id={WithoutOracleSpec.id}"


@pytest.mark.parametrize(("key", "part"), [("curriculum", "b2f"), ("guidance", "expert")])
def test_who_asks_an_oracle_that_is_not_there_is_told_what_else_to_choose(
    key: str, part: str, without_oracle: str
) -> None:
    with pytest.raises(ConfigError, match=rf"the {key} '{part}' asks the oracle of test/Without.*has none"):
        load_recipe("grpo", [without_oracle, f"{key}={part}"])
    load_recipe("grpo", [without_oracle])
    with pytest.raises(ConfigError, match=rf"`{key}\.expert` is 'nowhere', but no run is there"):
        load_recipe("grpo", [f"{key}={part}", f"{key}.expert=nowhere"])


def test_the_oracle_is_asked_once_and_its_solution_solves_the_task() -> None:
    made: list[AgentEnv] = []

    def make_env() -> AgentEnv:
        made.append(agentgym.make("household", difficulty="easy"))
        return made[-1]

    experts = Experts("oracle", make_env, 30)
    env = make_env()
    task = env.suite.tasks("train")[4]
    solution = experts.solution(task)
    assert solution is not None
    assert experts.solution(task) == solution
    assert len(made) == 2
    env.reset(seed=0, options={"task": task})
    ends = [env.step(action)[2] for action in solution.actions]
    assert ends == [False] * (len(ends) - 1) + [True]
    assert Experts("oracle", make_env, 1).solution(task) is None


def test_an_expert_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="run"):
        Experts(str(tmp_path), lambda: agentgym.make("household"), 30)
