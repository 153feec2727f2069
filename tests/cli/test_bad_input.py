"""What is wrong is answered in one paragraph on standard error, with exit code 2, and nothing is touched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentgym.training.run import Run
from tests.cli.driver import Cli, contents

ENVIRONMENT = r"Unknown environment 'houshold'\. Did you mean 'household'\?"
SPLIT = r"Unknown split 'hedlout'\. Did you mean 'heldout'\?"
OPTION = r"no option 'dificulty'\. Did you mean 'difficulty'\?"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("play houshold", ENVIRONMENT),
        ("check houshold", ENVIRONMENT),
        ("eval houshold --policy random", ENVIRONMENT),
        ("eval ws://:secret@127.0.0.1:1 --policy random", r"holds no token: .* set AGENTGYM_TOKEN"),
        ("train quickstart --no-check --set environment.id=ws://:secret@127.0.0.1:1", r"holds no token: "),
        ("train quickstart --set environment.id=houshold", ENVIRONMENT),
        ("train quickstart --no-check --set environment.id=houshold", ENVIRONMENT),
        ("quickstart --set environment.id=houshold", ENVIRONMENT),
        ("play household --split hedlout", SPLIT),
        ("eval household --policy random --split hedlout", SPLIT),
        ("play household -o dificulty=easy", OPTION),
        ("check household -o dificulty=easy", OPTION),
        ("eval household --policy random -o dificulty=easy", OPTION),
        ("train quickstart --set environment.options.dificulty=easy", OPTION),
        ("play household -o difficulty=esay", r"Did you mean 'easy'\?"),
        ("play household -o difficulty", r"--option takes KEY=VALUE, got 'difficulty'"),
        ("play household --task train-nothing-0", r"Unknown task 'train-nothing-0'"),
        ("check household --only contract.rewards", r"Did you mean 'contract\.reward'\?"),
        ("check alfworld", r"ALFWorld needs its games: .* ALFWORLD_DATA"),
        ("check household --report runs", r"runs is a folder; give the name of a file in it"),
        ("train quikstart", r"Unknown recipe 'quikstart'\. Did you mean 'quickstart'\? .* path of a TOML"),
        ("train", r"Give a recipe, such as `agentgym train quickstart`, or --resume RUN"),
        ("train quickstart --set iteratons=3", r"iteratons: no such key\. Did you mean 'iterations'\?"),
        ("train quickstart --set optimiser.rl=1", r"optimiser\.rl: no such key\. Did you mean 'lr'\?"),
        (
            "train quickstart --set iterations",
            r"--set takes key=value or section\.key=value, got 'iterations'",
        ),
        ("train quickstart --set iterations=three", r"iterations: got 'three'\. .* integer"),
        ("train quickstart --set rollout.group_size=0", r"group_size: got 0\. .* greater than or equal to 1"),
        ("train quickstart --set advantage=group_men", r"Did you mean 'group_mean'\?"),
        ("quickstart --set model.scratch.heads=3", r"`heads` must be a multiple of `kv_heads`"),
        ("train quickstart --name a/b", r"the name of one directory, got 'a/b'; say with --runs"),
        ("quickstart --name reference", r"runs/reference exists already; .* --resume runs/reference"),
        ("train quickstart --set rollout.engine=vllm", r"rollout\.engine is 'vllm', which is not installed"),
        ("train quickstart --set rollout.engine=vlm", r"rollout\.engine: got 'vlm'"),
        ("train quickstart --name reference", r"runs/reference exists already; .* --resume runs/reference"),
        ("train --resume refrence", r"Unknown run 'refrence'\. Did you mean 'reference'\?"),
        ("train grpo --resume reference", r"--resume goes on with a run as it was begun; give no recipe"),
        ("train --resume reference --set iterations=9", r"give no recipe, --set or --name"),
        ("eval household --policy refrence", r"Unknown run 'refrence'\. Did you mean 'reference'\?"),
        ("eval household --policy orcale", r"Unknown run 'orcale'\. Did you mean 'oracle'\?"),
        (
            "eval household --policy random --against randon",
            r"Unknown run 'randon'\. Did you mean 'random'\?",
        ),
        ("eval alfworld --policy reference", r"was trained in agentgym/Household-v0, not in .*ALFWorld"),
        (
            "eval household --policy http://127.0.0.1:1/v1",
            r"No OpenAI-compatible API answers at http://127\.0\.0\.1:1/v1: a failed connection",
        ),
        ("eval household --policy http://me:pw@127.0.0.1/v1", r"has no user, password, query or fragment"),
        ("eval household --policy openai:", r"openai: names no model; write openai:MODEL"),
        ("eval household --policy openai:gpt-x --model gpt-y", r"Name the model once: in openai:gpt-x, or"),
        ("eval household --policy vllm:reference", r"This needs vLLM: pip install"),
        ("eval household --policy vllm:refrence", r"Unknown run 'refrence'\. Did you mean 'reference'\?"),
        ("eval household --policy random --model tiny", r"random is not behind a URL, .* got 'tiny'"),
        ("eval household --policy http://127.0.0.1:1/v1 --prices 3", r"Prices are two numbers, .* got '3'"),
        ("eval household --policy random --agent recat", r"Unknown agent 'recat'\. Did you mean 'react'\?"),
        (
            "eval household --policy reference --agent toolcalling",
            r"offers no tools for the agent 'reference'",
        ),
        ("eval household --policy random --out runs", r"runs is a folder; give the name of a file in it"),
        ("eval household --policy random --cost-limit 1", r"A limit on the cost needs the prices of tokens"),
        ("eval household --policy random --name a/b", r"the name of one directory for one suite, got 'a/b'"),
        ("eval household --policy random --name reference", r"exists already; .*agentgym eval --resume"),
        ("eval --resume reference", r"Unknown evaluation 'reference'"),
        ("eval household --resume reference", r"goes on with an evaluation as it was begun; give no suite"),
        ("compare reference refrence", r"Unknown run 'refrence'\. Did you mean 'reference'\?"),
        ("compare reference reference:bfore", r"'bfore'\. Did you mean 'before'\?"),
        ("compare reference gone.json", r"Cannot read an evaluation from gone\.json"),
        ("power houshold", ENVIRONMENT),
        ("power household --split hedlout", SPLIT),
        (
            "power household --like reference --like reference --like reference",
            r"one evaluation or two, got 3",
        ),
        ("export refrence", r"Unknown run 'refrence'\. Did you mean 'reference'\?"),
        ("export reference --phase trian", r"Unknown phase 'trian'\. Did you mean 'train'\?"),
        ("export reference --format inspect --out a.log", r"of format inspect ends in \.eval, got a\.log"),
        ("export reference --format atif --out runs", r"runs is there already; name an empty folder"),
        ("rescore reference", r"Unknown evaluation 'reference'"),
        ("leaderboard houshold", ENVIRONMENT),
        ("leaderboard --split hedlout", SPLIT),
        ("leaderboard --runs nowhere", r"No run in nowhere has an evaluation to rank"),
        ("replay refrence --last", r"Unknown run 'refrence'\. Did you mean 'reference'\?"),
        ("replay reference", r"Give the id of an episode, or --last for the newest one"),
        ("replay reference train-000000/0000/00 --last", r"Give the id of an episode, or --last"),
        ("replay reference tain-000000/0000/00", r"No episode .* Did you mean 'train-000000/0000/00'\?"),
    ],
)
def test_one_paragraph_and_nothing_touched(
    command: str, message: str, cli: Cli, run: Run, tmp_path: Path
) -> None:
    before = contents(tmp_path)
    done = cli(*command.split())
    assert done.code == 2
    assert done.err.startswith("Error: ")
    paragraph = " ".join(done.err.split())
    assert re.search(message, paragraph), done.err
    assert "Traceback" not in done.err
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("eval household", "Missing option '--policy'"),
        ("envz", "Did you mean 'envs'?"),
        ("play household --sed 3", "--seed"),
        ("play household --seed -1", "greater than or equal to 0"),
        ("play household --seed three", "valid integer"),
        ("eval household --policy random --max-turns 0", "greater than or equal to 1"),
        ("play", "Missing argument"),
    ],
)
def test_a_call_that_cannot_be_read_points_to_the_help(command: str, message: str, cli: Cli) -> None:
    done = cli(*command.split())
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: agentgym")
    assert "-h' for help" in done.err
    assert message in done.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iterations = [", "not valid TOML"),
        ("iterations = 3", "model: is missing"),
        ('extends = "quickstart"\niterations = "many"\n[rollout]\ntop_p = 2.0', "top_p: got 2.0"),
        ('extends = "quick-start"', "Did you mean 'quickstart'?"),
        ('extends = "./recipe.toml"', "in a circle"),
    ],
)
def test_recipe_files_with_mistakes(text: str, message: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(text, "utf-8")
    done = cli("train", "./recipe.toml")
    assert (done.code, done.out) == (2, "")
    assert message in " ".join(done.err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]


def test_a_recipe_with_several_mistakes_names_them_all(cli: Cli) -> None:
    done = cli("train", "quickstart", "--set", "iteratons=3", "--set", "rollout.tasks=0", "--set", "seed=x")
    assert done.err.count("\n") >= 4
    assert all(name in done.err for name in ("iteratons", "rollout.tasks", "seed"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("truncated", r"model.safetensors has changed"),
        ("missing", r"optimiser.safetensors is missing"),
        ("unmarked", r"no readable manifest"),
    ],
)
def test_a_damaged_checkpoint_is_refused_with_the_last_good_one(
    damage: str, message: str, cli: Cli, run: Run
) -> None:
    latest = run.checkpoints / "000005"
    match damage:
        case "truncated":
            weights = latest / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:1000])
        case "missing":
            (latest / "optimiser.safetensors").unlink()
        case _:
            (latest / "manifest.json").unlink()
    before = contents(run.path)
    for words in (["train", "--resume", "reference"], ["eval", "household", "--policy", "reference"]):
        done = cli(*words)
        assert done.code == 2
        error = "".join(done.err.split())
        assert "".join(message.split()) in error
        assert f"Thelastgoodoneis{run.path.relative_to(Path.cwd())}/checkpoints/000004" in error
        assert contents(run.path) == before


def test_what_nothing_was_trained_for_leaves_no_directory(cli: Cli, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[model]\npath = "./nowhere"\n', "utf-8")
    done = cli("train", "recipe.toml", "--no-check")
    assert done.code == 2
    assert "nowhere" in done.err
    assert "--resume" not in done.err
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize("runs", ["taken", "taken/below"])
def test_a_place_where_no_run_can_be_made(runs: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine", "utf-8")
    done = cli("quickstart", "--runs", runs)
    assert (done.code, done.out) == (2, "")
    assert "Cannot make a run directory in taken" in done.err
    assert contents(tmp_path) == {"taken": b"mine"}
    done = cli("eval", "household", "--policy", "random", "--out", f"{runs}/e.json")
    assert (done.code, done.out) == (2, "")
    assert "Cannot write taken" in done.err
