from __future__ import annotations

from pathlib import Path

import pytest

from agentgym.core.errors import ConfigError, UnknownNameError
from agentgym.training.advantages.group import GroupMean
from agentgym.training.advantages.step import StepGroup
from agentgym.training.recipe import Recipe, load_recipe, parse_recipe
from agentgym.training.recipe_tables import shipped_recipes


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_whole_and_survive_being_saved(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary
    saved = tmp_path / "recipe.toml"
    saved.write_text(recipe.to_toml(), "utf-8")
    assert load_recipe(saved) == recipe


def test_a_recipe_that_extends_another_changes_what_it_names() -> None:
    grpo, gigpo = load_recipe("grpo"), load_recipe("gigpo")
    assert isinstance(grpo.advantage, GroupMean)
    assert isinstance(gigpo.advantage, StepGroup)
    assert grpo.clip == gigpo.clip


def test_settings_from_the_command_line() -> None:
    recipe = load_recipe(
        "gigpo",
        [
            "optimiser.lr=1e-4",
            "advantage.weight=0.5",
            "clip=none",
            "environment.options.difficulty=easy",
            "optimiser.betas=[0.8, 0.9]",
            "agent.history=3",
        ],
    )
    assert recipe.optimiser.lr == 1e-4
    assert recipe.optimiser.betas == (0.8, 0.9)
    assert isinstance(recipe.advantage, StepGroup)
    assert recipe.advantage.weight == 0.5
    assert recipe.clip.name == "none"
    assert recipe.environment.options == {"difficulty": "easy"}
    assert recipe.agent.history == 3


def test_another_part_drops_the_settings_of_the_one_before() -> None:
    recipe = load_recipe("gigpo", ["advantage=group_mean"])
    assert recipe.advantage == GroupMean()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("iteratons=3", r"iteratons: no such key. Did you mean 'iterations'"),
        ("optimiser.lrr=1", r"optimiser.lrr: no such key. Did you mean 'lr'"),
        ("rollout.group_size=0", r"rollout.group_size: got 0. Input should be greater than or equal to 1"),
        ("rollout.group_size=abc", r"rollout.group_size: got 'abc'. Input should be a valid integer"),
        ("clip.low=2", r"clip.low: got 2. Input should be less than or equal to 1"),
        ("advantage=stp_group", r"Unknown advantage 'stp_group'. Did you mean 'step_group'"),
        ("advantage.wieght=1", r"advantage.wieght: no such key. Did you mean 'weight'"),
        ("agent.action_format=xml", r"agent.action_format: got 'xml'. Input should be 'plain' or 'tagged'"),
        ("model.path=''", r"give either `path`"),
        ("seed", r"--set takes key=value"),
    ],
)
def test_what_is_wrong_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_recipe("gigpo", [override])
    assert caught.value.exit_code == 2


def test_unknown_recipes_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'gigpo'"):
        load_recipe("gigppo")
    broken = tmp_path / "broken.toml"
    broken.write_text("seed = ", "utf-8")
    with pytest.raises(ConfigError, match=r"broken.toml' is not valid TOML"):
        load_recipe(broken)


def test_a_model_from_scratch_needs_demonstrations() -> None:
    with pytest.raises(ConfigError, match="warm_start"):
        parse_recipe({"model": {"scratch": {}}})
    assert isinstance(parse_recipe({"model": {"scratch": {}}, "warm_start": {}}), Recipe)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "regularisers=[{name = 'kl', coeficient = 0.1}]",
            r"regularisers\.0\.coeficient: no such key. Did you mean 'coefficient'",
        ),
        ("regularisers=[{name = 'kll', coefficient = 1}]", r"Unknown regulariser 'kll'. Did you mean 'kl'"),
        ("model.scrach.layers=2", r"model.scrach: no such key. Did you mean 'scratch'"),
        ("rollout.group_size=1", r"nothing to compare with. Set `rollout.group_size` to 2"),
    ],
)
def test_mistakes_in_lists_and_combinations_are_named_too(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("gigpo", [override])


def test_one_part_can_be_given_where_a_list_is_meant() -> None:
    listed = load_recipe("grpo", ["regularisers=[{name = 'entropy', coefficient = 0.1}]"])
    assert load_recipe("grpo", ["regularisers={name = 'entropy', coefficient = 0.1}"]) == listed
