"""`agentgym recipes`: what is listed, shown and can be trained as shown; the page made of it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from agentgym.training.describe import kinds, parts_of
from agentgym.training.recipe import load_recipe
from agentgym.training.recipe_tables import shipped_recipes
from tests.cli.driver import Cli

ROOT = Path(__file__).parents[2]


def test_every_recipe_is_listed_with_what_is_known_of_it(cli: Cli) -> None:
    done = cli("recipes")
    assert max(map(len, done.out.splitlines())) <= 80
    listed = " ".join(done.out.split())
    for name in shipped_recipes():
        recipe = load_recipe(name)
        assert f"{name} {' '.join(recipe.summary.split())}" in listed
        assert " ".join(recipe.paper.split()) in listed
        assert " ".join(recipe.departures.split()) in listed
    marked = sum(load_recipe(name).provenance == "reconstructed" for name in shipped_recipes())
    assert listed.count("reconstructed: known from an abstract") == marked > 0


@pytest.mark.parametrize("name", shipped_recipes())
@pytest.mark.parametrize("published", [[], ["--as-published"]], ids=["ours", "as published"])
def test_what_is_shown_is_a_recipe_that_train_accepts(
    name: str, published: list[str], cli: Cli, tmp_path: Path
) -> None:
    done = cli("recipes", "show", name, *published)
    shown = tmp_path / "shown.toml"
    shown.write_text(done.out, "utf-8")
    wanted = load_recipe(name, ["as_published=true"] if published else [])
    assert load_recipe(shown) == wanted
    assert set(tomllib.loads(done.out)) >= {"advantage", "clip", "schedule", "rollout", "model"}


def test_as_published_changes_what_the_authors_have_otherwise(cli: Cli) -> None:
    ours, theirs = (
        tomllib.loads(cli("recipes", "show", "gigpo", *more).out) for more in ([], ["--as-published"])
    )
    assert ours["advantage"]["statistics"] == "trajectory"
    assert theirs["advantage"]["statistics"] == "turn"


def test_parts_are_listed_with_their_settings(cli: Cli) -> None:
    done = cli("recipes", "parts")
    assert max(map(len, done.out.splitlines())) <= 80
    for kind in kinds():
        for part in parts_of(kind):
            assert part.summary, part.name
            assert f"{part.name} " in done.out
    clips = cli("recipes", "parts", "clip").out
    assert "low: number >= 0 and <= 1, default 0.2. The ratio is clipped below 1 - low." in clips
    unknown = cli("recipes", "parts", "clap")
    assert (unknown.code, "Did you mean 'clip'?" in unknown.err) == (2, True)


def test_the_page_of_algorithms_is_up_to_date(cli: Cli) -> None:
    page = (ROOT / "docs/algorithms.md").read_text("utf-8")
    assert page == cli("recipes", "--markdown").out, "run: agentgym recipes --markdown > docs/algorithms.md"
