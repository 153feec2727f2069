"""Offline training end to end, on recorded household episodes: failures of a weak policy and the expert's play."""

from __future__ import annotations

import asyncio
import math
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agentgym.core.errors import ConfigError
from agentgym.policies.models import load_model
from agentgym.store.store import Store
from agentgym.training.assembly import make_agent, make_env
from agentgym.training.demonstrations import demonstrate, tokenise
from agentgym.training.recipe import load_recipe
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer

RECORDED = [
    "iterations=1",
    "environment.max_turns=8",
    "environment.options={difficulty = 'easy', task_types = ['place'], expert = 'searcher'}",
    "model.scratch={hidden_size = 32, layers = 1, heads = 2, kv_heads = 1, head_dim = 16, mlp_size = 64}",
    "warm_start.demonstrations=30",
    "warm_start.epochs=1",
    "rollout.tasks=4",
    "rollout.group_size=2",
    "evaluation.heldout_tasks=0",
]
OFFLINE = [
    "evaluation.heldout_tasks=0",
    "rollout.tasks=2",
    "optimiser.lr=1e-3",
    "iterations=4",
    "checkpoint.every=1",
    "checkpoint.keep=9",
]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose groups have the expert's play of their task besides the policy's."""
    run = Run.create(load_recipe("quickstart", RECORDED), tmp_path_factory.mktemp("runs"), "recorded")
    Trainer(run).train()
    tokenizer = load_model(run.warm_start).tokenizer
    with Store(run.store) as store:
        first_of = {episode.group_id: episode for episode in store.episodes(run.name)}
        with closing(make_env(run.recipe)) as env:
            played = [
                demonstrate(env, episode.task, noise=0.0, seed=0, max_turns=30)
                for episode in first_of.values()
            ]
        demonstrations = [item for item in played if item is not None]
        episodes = asyncio.run(
            tokenise(
                demonstrations,
                tokenizer,
                lambda policy: make_agent(run.recipe, policy, temperature=1.0),
                lambda: make_env(run.recipe),
            )
        )
        group_of = {episode.task.id: group for group, episode in first_of.items()}
        store.write_episodes(
            run.name,
            [
                replace(episode, id=f"expert-{number}", group_id=group_of[episode.task.id])
                for number, episode in enumerate(episodes)
            ],
            iteration=0,
        )
    return run


def trained(name: str, recording: Run, folder: Path, *settings: str) -> Run:
    recipe = load_recipe(name, ["data=recorded", f"data.path={recording.path}", *OFFLINE, *settings])
    run = Run.create(recipe, folder, name)
    Trainer(run).train()
    return run


def test_dpo_widens_the_margin_and_plays_nothing(recording: Run, tmp_path: Path) -> None:
    run = trained("dpo", recording, tmp_path)
    losses = [line["loss"] for line in run.lines()]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert losses[0] > losses[2], "the second pass over the same pairs finds them wider apart"
    assert losses[1] > losses[3]
    assert all(line["grad_norm"] > 0 for line in run.lines())
    with Store(run.store) as store:
        assert not list(store.episodes(run.name))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a_lol", []),
        ("iql", []),
        ("digi_q", ["extraction.answers=3", "extraction.states=8"]),
        ("refuel", ["branching=none"]),
    ],
)
def test_offline_recipes_learn(name: str, settings: list[str], recording: Run, tmp_path: Path) -> None:
    critic = [] if name == "refuel" else ["critic.ahead=1"]
    lines = trained(name, recording, tmp_path, "iterations=3", *settings, *critic).lines()
    updated = [line["grad_norm"] > 0 for line in lines]
    assert updated[1:] == [True, True]
    if critic:
        assert not updated[0], "the critic is ahead"
        assert all(line["critic_loss"] > 0 for line in lines)


def test_a_resumed_critic_gives_the_same_numbers(recording: Run, tmp_path: Path) -> None:
    straight = trained("iql", recording, tmp_path, "critic.ahead=1")
    resumed = Run(tmp_path / "again" / "iql")
    shutil.copytree(straight.path, resumed.path)
    for later in ("000003", "000004"):
        shutil.rmtree(resumed.checkpoints / later)
    Trainer(resumed).train()
    assert (resumed.path / "metrics.jsonl").read_text() == (straight.path / "metrics.jsonl").read_text()


def test_tokens_of_another_tokenizer_are_refused(recording: Run, tmp_path: Path) -> None:
    other = Run.create(
        load_recipe("quickstart", [*RECORDED, "warm_start.demonstrations=5"]), tmp_path, "other"
    )
    Trainer(other).train()
    recipe = load_recipe("dpo", [f"data.path={recording.path}", *OFFLINE, f"model.path={other.warm_start}"])
    with pytest.raises(ConfigError, match=r"recorded with another tokenizer .* --set model.path="):
        Trainer(Run.create(recipe, tmp_path, "mixed")).train()
