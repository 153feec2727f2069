"""`agentgym eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.task import Split
from agentgym.environments.household.env import HouseholdEnv
from agentgym.environments.household.tasks import ENV_ID, HouseholdSuite
from agentgym.evaluation.report import Evaluation
from agentgym.store.store import Store
from agentgym.training.recipe import load_recipe
from agentgym.training.run import Run
from tests.cli.driver import Cli, contents


def test_two_players_on_the_same_tasks(cli: Cli) -> None:
    done = cli("eval", "household", "--policy", "oracle", "--against", "random", "--episodes", "5")
    assert (done.code, done.err) == (0, "")
    assert "oracle on agentgym/Household-v0, heldout tasks" in done.out
    assert "random on agentgym/Household-v0, heldout tasks" in done.out
    assert "random -> oracle, same tasks and seeds" in done.out
    assert "verdict: better" in done.out
    assert "At most 50 turns; environment options: none." in done.out


@pytest.mark.parametrize("by", ["name", "path"])
def test_a_run_plays_on_what_it_was_trained_on(run: Run, cli: Cli, by: str) -> None:
    before = contents(run.path)
    named = "reference" if by == "name" else str(run.path)
    done = cli(
        "eval", "household", "--policy", named, "--split", "select", "--episodes", "3", "--out", "e.json"
    )
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("Written to e.json.\n")
    evaluation = Evaluation.load("e.json")
    section = load_recipe(run.path / "recipe.toml").environment
    assert (
        evaluation.options
        == section.options
        == {
            "difficulty": "easy",
            "task_types": ["place"],
            "expert": "searcher",
        }
    )
    assert evaluation.max_turns == section.max_turns == 6
    assert (evaluation.agent, evaluation.split) == ("reference", Split.SELECT)
    assert all(result.sampled_tokens > 0 and result.policy_version == 5 for result in evaluation.scored)
    assert contents(run.path) == before


def test_the_runs_conditions_hold_for_whom_it_is_compared_with(run: Run, cli: Cli) -> None:
    done = cli("eval", "household", "--policy", "random", "--against", "reference", "--episodes", "2")
    assert "reference -> random" in done.out
    assert "At most 6 turns; environment options: difficulty = 'easy', task_types" in done.out


def test_what_is_asked_for_goes_before_what_the_run_has(run: Run, cli: Cli) -> None:
    words = ["--policy", "reference", "--episodes", "2", "--max-turns", "3", "-o", "difficulty=hard"]
    done = cli("eval", "household", *words, "--out", "deep/er/e.json")
    assert done.code == 0
    evaluation = Evaluation.load("deep/er/e.json")
    assert (evaluation.max_turns, evaluation.options["difficulty"]) == (3, "hard")
    assert {result.turns for result in evaluation.results} == {3}


def test_samples_and_seeds(cli: Cli) -> None:
    seen: list[Evaluation] = []
    for seed in ("1", "1", "2"):
        words = ["--policy", "random", "--episodes", "4", "--samples", "2", "--seed", seed, "--out", "e.json"]
        assert cli("eval", "household", *words).code == 0
        seen.append(Evaluation.load("e.json"))
    assert seen[0].results == seen[1].results
    assert [result.seed for result in seen[0].results] != [result.seed for result in seen[2].results]
    assert len(seen[0].results) == 16


def test_runs_of_other_conditions_are_pointed_out(run: Run, cli: Cli, tmp_path: Path) -> None:
    other = tmp_path / "runs" / "other"
    run.path.rename(other)
    recipe = (other / "recipe.toml").read_text("utf-8")
    run.path.mkdir()
    (run.path / "recipe.toml").write_text(recipe.replace("max_turns = 6", "max_turns = 5"), "utf-8")
    (run.path / "checkpoints").symlink_to(other / "checkpoints")
    done = cli("eval", "household", "--policy", "other", "--against", "reference", "--episodes", "1")
    assert done.code == 0
    assert "At most 6 turns" in done.out
    assert "trained under other conditions" in done.out


class Anything(gym.Space[Any]):
    """Everything is in it, what no store can keep too."""

    def contains(self, x: Any) -> bool:
        return True


class Spoiled:
    """The household, one of whose tasks shows what cannot be kept."""

    id, name, summary = ENV_ID, "household", "spoiled"

    def suite(self) -> HouseholdSuite:
        return HouseholdSuite()

    def make(self, split: Split) -> AgentEnv:
        env = HouseholdEnv(self.suite(), split)
        spoiled, step = env.suite.tasks(split)[2], env.step
        env.observation_space = Anything()

        def shown(action: Any) -> StepResult:
            seen, reward, terminated, truncated, info = step(action)
            if env.task == spoiled:
                seen = {"text": seen, "more": {1, 2}}
            return seen, reward, terminated, truncated, info

        env.step = shown
        return env


def test_what_was_played_is_not_lost_with_an_episode_that_cannot_be_kept(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("agentgym.registry._registered", {ENV_ID: Spoiled()})
    limits = ("--concurrency", "1", "--max-turns", "2", "--name", "kept")
    done = cli("eval", "household", "--policy", "oracle", *limits)
    assert done.code == 2
    assert "which the store cannot keep" in done.err
    with Store(tmp_path / "runs" / "kept" / "store.sqlite", create=False) as store:
        assert store.episode_rows("kept")


def test_nothing_is_left_of_what_cannot_be_played(cli: Cli, tmp_path: Path) -> None:
    done = cli("eval", "household", "--policy", "oracle", "--option", "no_such=1", "--name", "none")
    assert done.code == 2
    assert not (tmp_path / "runs" / "none").exists()
