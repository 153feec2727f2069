"""Combinations that do not fit are refused when the recipe is read, with the nearest choice."""

from __future__ import annotations

import re

import pytest

from agentgym.core.errors import ConfigError
from agentgym.training.recipe import load_recipe
from agentgym.training.recipe_tables import shipped_recipes

REFUSED = {
    "a group of one": (["rollout.group_size=1"], "Set `rollout.group_size` to 2 or more"),
    "dynamic sampling of groups of one": (
        ["rollout.group_size=1", "sampling=dynamic", "advantage=score"],
        "'prioritised', which needs no group",
    ),
    "credit of tokens in a sequential schedule": (
        ["schedule=sequential", "shaping=token_returns"],
        "set `schedule` to 'simultaneous'",
    ),
    "a critic in a sequential schedule": (
        ["schedule=sequential", "critic=expectile", "advantage=implicit"],
        "Set `critic` to 'none'",
    ),
    "pairs in a sequential schedule": (
        ["schedule=sequential", "clip=dpo", "advantage=pair"],
        "Set `schedule` to 'simultaneous'",
    ),
    "an engine that tells no log-probabilities": (
        ["rollout.engine=vllm", "rollout.top_p=0.9"],
        "Set `rollout.top_p` to 1, or `rollout.engine` to 'local'",
    ),
    "a pair loss without pairs": (["clip=dpo"], "Set `advantage` to 'pair'"),
    "pairs torn apart": (
        ["clip=dpo", "advantage=pair", "schedule.minibatches=2"],
        "`schedule.minibatches = 2` would tear pairs apart",
    ),
    "a correction of nothing": (["corrections=truncated_importance"], "Set `proximal` to 'recomputed'"),
    "a gap that is weighed already": (
        ["gap_action=correct", "ratio=behaviour"],
        "set `gap_action` to 'stop'",
    ),
    "a clip for another ratio": (["clip=centred", "proximal=recomputed"], "Set `ratio` to 'behaviour'"),
    "back to front without an expert": (
        ["curriculum={name = 'b2f', expert = 'no/such/run'}"],
        "or set `curriculum` to 'f2b', which needs no expert",
    ),
    "a teacher that nobody asks": (
        ["teacher={name = 'model', path = 'x'}"],
        "add the shaping {name = 'teacher'}",
    ),
    "nobody to ask": (["shaping={name = 'teacher', coefficient = 1.0}"], "`teacher` is 'none'"),
    "a tokenizer without text": (["model={path = '', scratch = {}}"], "Add a table `[warm_start]`"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_the_nearest_choice(case: str) -> None:
    overrides, advice = REFUSED[case]
    with pytest.raises(ConfigError, match=re.escape(advice)):
        load_recipe("grpo", overrides)


def test_every_broken_rule_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe("grpo", ["rollout.group_size=1", "corrections=truncated_importance"])
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_break_no_rule_as_published_either(name: str) -> None:
    assert load_recipe(name, ["as_published=true"]).as_published
