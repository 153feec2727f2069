"""Recipes of pairs, critics and recordings whose parts do not fit are refused, with what to choose instead."""

from __future__ import annotations

import pytest

from agentgym.core.errors import ConfigError
from agentgym.training.recipe import load_recipe


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        ("dpo", ["aggregation=token_mean"], "is a mean over pairs already"),
        ("refuel", ["aggregation.tokens=2"], 'Set `aggregation` to {name = "constant", tokens = 1'),
        ("a_lol", ["critic=none"], "asks for the value of turns.* Set `critic` to 'monte_carlo'"),
        ("iql", ["critic=monte_carlo"], "asks for the quality of turns.* Set `critic` to 'expectile'"),
        ("iql", ["advantage=group_mean"], "would learn for nobody"),
        ("digi_q", ["critic=monte_carlo", "advantage=leftover"], "chooses among answers by their quality"),
        ("iql", ["replay=recent"], "draws on the run's own episodes, of which there are none"),
    ],
)
def test_what_does_not_fit_is_refused(recipe: str, settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(recipe, settings)


@pytest.mark.parametrize("recipe", ["dpo", "a_lol", "iql", "digi_q"])
def test_offline_recipes_can_play_too(recipe: str) -> None:
    assert load_recipe(recipe, ["data=rollouts"]).data.on_policy
