"""`agentgym compare`, `power` and `leaderboard`, and evaluations that are gone on with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agentgym.evaluation.report import Evaluation
from agentgym.store.store import Store
from agentgym.training.lineage import learned_from
from agentgym.training.run import Run
from tests.cli.driver import Cli


@pytest.fixture
def played(cli: Cli) -> Cli:
    """Two evaluations, `good` and `bad`, on the same twelve tasks."""
    for name, policy in (("good", "oracle"), ("bad", "random")):
        words = ["--policy", policy, "--limit", "6", "--epochs", "2", "--name", name]
        assert cli("eval", "household", *words).code == 0
    return cli


def test_two_kept_evaluations_are_compared(played: Cli) -> None:
    done = played("compare", "bad", "good")
    assert (done.code, done.err) == (0, "")
    assert "bad -> good, same tasks and seeds" in done.out
    assert "verdict: better" in done.out
    assert "fixed: 12 (heldout-seen-easy-place-0000" in done.out
    data = json.loads(played("compare", "runs/bad/evaluation.json", "runs/good", "--json").out)
    assert (data["verdict"], data["difference"]["tasks"], data["unpaired"]) == ("better", 12, 0)


def test_a_training_run_before_and_after(run: Run, cli: Cli) -> None:
    data = json.loads(cli("compare", "reference:before", "reference", "--json").out)
    assert data["before"].endswith("before")
    assert data["after"].endswith("after")
    assert data["verdict"] in ("better", "worse", "cannot tell")


def test_what_a_suite_can_resolve(played: Cli) -> None:
    done = played("power", "household", "--effect", "9", "--limit", "100")
    assert "200 tasks cannot tell 9 points: that takes 479." in done.out
    assert "assumed, as of policies that have nothing in common" in done.out
    words = ["--limit", "100", "--epochs", "2", "--json", "--like", "bad"]
    data = json.loads(played("power", "household", "--effect", "9", *words).out)
    assert (data["tasks"], data["assumed"], data["needed"] < 479) == (200, False, True)
    both = json.loads(played("power", "household", "--effect", "9", *words, "--like", "good").out)
    assert both["assumed"] is False
    every = json.loads(played("power", "household", "--json").out)
    assert (every["tasks"], every["effect"]) == (3600, 0.05)


def test_the_runs_are_ranked_on_screen_as_json_and_as_a_page(played: Cli) -> None:
    done = played("leaderboard", "household", "--split", "heldout", "--html", "new/page.html")
    assert done.code == 0
    assert done.out.index("oracle") < done.out.index("random")
    assert "<table>" in Path("new/page.html").read_text("utf-8")
    (board,) = json.loads(played("leaderboard", "--json").out)
    assert [entry["run"] for entry in board["entries"]] == ["good", "bad"]
    assert board["entries"][1]["beside_best"] == "worse"


def test_an_evaluation_as_json_is_all_that_is_printed(cli: Cli) -> None:
    words = ["--policy", "oracle", "--against", "random", "--limit", "3", "--json"]
    (suite,) = json.loads(cli("eval", "household", *words).out)
    first, second = suite["evaluations"]
    assert first["summary"]["success"]["estimate"] == 1.0
    assert second["evaluation"]["agent"] == "random"
    assert suite["comparison"]["before"] == "random"
    assert Path(first["run"], "store.sqlite").is_file()


def test_an_interrupted_evaluation_is_gone_on_with(played: Cli) -> None:
    whole = Evaluation.load("runs/good/evaluation.json")
    Path("runs/good/evaluation.json").unlink()
    with Store("runs/good/store.sqlite") as store:
        ids = [row.id for row in store.episode_rows("good")]
        store.delete_episodes("good", ids[::2])
    done = played("eval", "--resume", "good", "--out", "again.json")
    assert (done.code, done.err) == (0, "")
    assert Evaluation.load("again.json").results == whole.results
    with Store("runs/good/store.sqlite") as store:
        assert len(store.episode_rows("good")) == len(ids)
        (row,) = store.evaluations("good")
        assert Evaluation.from_json(row.result_json).results == whole.results


def test_a_name_serves_both_players(cli: Cli) -> None:
    words = ["--policy", "oracle", "--against", "random", "--limit", "2", "--name", "both"]
    assert "Kept in runs/both-against." in cli("eval", "household", *words).out
    assert cli("compare", "both-against", "both").code == 0


def test_a_run_is_not_evaluated_on_what_it_was_trained_on(run: Run, cli: Cli) -> None:
    """A held-out episode that got into the training of a run, by whatever way."""
    assert cli("eval", "household", "--policy", "random", "--limit", "1", "--name", "other").code == 0
    words = ["eval", "household", "--policy", "reference", "--limit", "2", "-o", "difficulty=easy"]
    words += ["-o", 'task_types=["place"]', "-o", "expert=searcher"]
    assert cli(*words).code == 0
    kept = next(Path("runs").glob("eval-household-reference-*"))
    with Store(kept / "store.sqlite") as other, Store(run.store) as store:
        (row,) = other.runs()
        episode = next(other.episodes(row.id))
        store.write_episodes("reference", [episode], iteration=4, phase="train")
    assert episode.task.key in learned_from(run)
    before = sorted(Path("runs").iterdir())
    done = cli(*words)
    assert done.code == 2
    assert re.search(r"reference was trained on 1 of the \d+ held-out tasks", " ".join(done.err.split()))
    assert sorted(Path("runs").iterdir()) == before
    assert cli(*words, "--split", "select").code == 0


def test_what_a_run_learned_from_includes_its_ancestors(run: Run, tmp_path: Path) -> None:
    heir = tmp_path / "runs" / "heir"
    heir.mkdir()
    model = run.recipe.model.model_copy(update={"path": str(run.warm_start), "scratch": None})
    recipe = run.recipe.model_copy(update={"model": model, "warm_start": None})
    (heir / "recipe.toml").write_text(recipe.to_toml(), "utf-8")
    with Store(run.store) as store:
        played = {episode.task.key for episode in store.episodes("reference")}
    assert played
    assert played <= learned_from(run) <= learned_from(Run(heir))


def test_kept_episodes_are_judged_by_a_function_of_ones_own(played: Cli) -> None:
    Path("mine.py").write_text("def brief(episode):\n    return len(episode.turns) <= 5\n", "utf-8")
    data = json.loads(played("rescore", "good", "--scorer", "mine:brief", "--json").out)
    assert 0 < data["summary"]["success"]["estimate"] < 1
    assert data["comparison"]["before_rate"]["estimate"] == 1.0
    assert played("compare", "good", "good:rescored").code == 0
    for name, message in (
        ("mine", "MODULE:FUNCTION"),
        ("mine:long", "has no function 'long'"),
        ("nine:x", "No module named 'nine'"),
    ):
        done = played("rescore", "good", "--scorer", name)
        assert (done.code, message in " ".join(done.err.split())) == (2, True)


@pytest.mark.parametrize(
    ("format", "name"), [("jsonl", "good.jsonl"), ("inspect", "good.eval"), ("atif", "good.atif")]
)
def test_a_kept_evaluation_is_exported(format: str, name: str, played: Cli) -> None:
    done = json.loads(played("export", "good", "--format", format, "--json").out)
    assert done == {"run": "good", "format": format, "out": name, "episodes": 24}
    assert Path(name).exists()
