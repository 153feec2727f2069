"""Recipes that learn from an expert are refused, when they are read, in a world that has none."""

from __future__ import annotations

import pytest

import agentgym
from agentgym.core.errors import ConfigError
from agentgym.training.recipe import load_recipe
from tests.training.test_curricula import WithoutOracleSpec


class SilentSpec(WithoutOracleSpec):
    id = "test/Silent-v0"
    name = "silent"


@pytest.fixture(scope="module")
def silent() -> str:
    agentgym.register(SilentSpec())
    return f"environment.id={SilentSpec.id}"


def test_plans_need_an_expert(silent: str) -> None:
    with pytest.raises(ConfigError, match=r"which has none. Set `teacher.hint` to 'feedback'"):
        load_recipe("opsd", [silent])
    load_recipe("opsd", [silent, "teacher.hint=feedback"])


def test_demonstrations_need_an_expert(silent: str) -> None:
    with pytest.raises(ConfigError, match=r"no expert to give them. Set `data` to 'recorded'"):
        load_recipe("one_token_rollout", [silent])
