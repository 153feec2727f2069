"""A policy that learns calls the tools of its memory: in the sandbox, and to the same numbers when it is resumed."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from agentgym.cli.policies import EndpointOptions, open_player
from agentgym.core.agent import EpisodeStart
from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemKind
from agentgym.core.task import Split
from agentgym.core.trace import Episode
from agentgym.rollout.collect import EpisodePlan, collect
from agentgym.store.store import Store
from agentgym.training.checkpoint import latest_checkpoint
from agentgym.training.remembering.saved import saved_memory
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.remembering.locks import (
    ANSWER,
    ENV_ID,
    TELLER,
    Locks,
    LockSuite,
    given_library,
    lock_recipe,
    taught_model,
)
from tests.training.remembering.worlds import killed


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return given_library(tmp_path_factory.mktemp("library") / "given.sqlite")


@pytest.fixture(scope="module")
def model(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return taught_model(tmp_path_factory.mktemp("model"), library)


@pytest.fixture(scope="module")
def finished(model: Path, library: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run.create(lock_recipe(model, library), tmp_path_factory.mktemp("runs"), "reference")
    Trainer(run).train()
    return run


def answers(episode: Episode) -> list[str]:
    """What tools have told, the world's and the memory's."""
    return [
        message.content for turn in episode.turns for message in turn.messages_delta if message.role == "tool"
    ]


def test_a_call_of_a_remembered_tool_runs_and_is_answered_unless_chance_withholds_the_tool(
    finished: Run,
) -> None:
    with Store(finished.store, create=False) as store:
        played = list(store.episodes(finished.name))
    withheld = [each for each in played if TELLER.version in each.turns[0].withheld_items]
    asked = [each for each in played if ANSWER in answers(each)]
    assert withheld
    assert asked
    assert not any(ANSWER in answers(each) for each in withheld)
    assert any(each.success for each in asked)
    for episode in asked:
        (thought, *_), turn = episode.turns[0].thoughts, episode.turns[0]
        assert thought.loss_mask.all(), "what led to the call is learned from"
        assert turn.shown_items.count(TELLER.version) >= 2, "in the notes, and by its answer"
    assert all(line["gap_mean"] < 1e-3 for line in finished.lines())


def test_killed_and_resumed_equals_never_killed(
    finished: Run, model: Path, library: Path, tmp_path: Path
) -> None:
    run = Run.create(lock_recipe(model, library), tmp_path, "reference")
    assert killed(run, "locks", 20) == -9  # an iteration takes 8 to 16 steps, and there are three of them
    assert 1 <= len(run.lines()) <= 2
    Trainer(run).train()
    assert (run.path / "metrics.jsonl").read_text() == (finished.path / "metrics.jsonl").read_text()
    ends = [latest_checkpoint(each.checkpoints).path / "model.safetensors" for each in (run, finished)]
    assert ends[0].read_bytes() == ends[1].read_bytes()


def test_whoever_plays_the_run_calls_its_tools(finished: Run) -> None:
    player = open_player(str(finished.path), ENV_ID, 1.0, Path("runs"), options=EndpointOptions())
    task = LockSuite().tasks("heldout")[0]

    plans = [EpisodePlan(task, f"e{seed}", "g", seed) for seed in range(12)]
    make_env = partial(Locks, task.split)
    played = asyncio.run(collect(plans, player.agent, make_env, concurrency=12, max_turns=2))
    assert any(ANSWER in answers(episode) for episode in played)


def test_tools_are_offered_where_they_are_of_the_kinds_that_are_shown(finished: Run) -> None:
    start = EpisodeStart("s", LockSuite().tasks("heldout")[0], 0, Locks(Split.HELDOUT))
    for kinds, offered, told in (([ItemKind.TOOL], ["code"], ANSWER), ([ItemKind.CASE], [], "no skill")):
        memory = saved_memory(finished, kinds)
        assert memory is not None
        assert [tool.name for tool in memory.tools] == offered
        assert told in asyncio.run(memory.call(start, "code", {})).text


def test_without_a_sandbox_the_run_does_not_begin_unless_it_goes_without_tools(
    model: Path, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    run = Run.create(lock_recipe(model, library), tmp_path, "lacking")
    with pytest.raises(UsageError, match=r"has tools \(code\).*needs bwrap.*apt install.*memory.kinds"):
        Trainer(run).train()
    assert not run.warm_start.exists()
    without = Run.create(
        lock_recipe(model, library, 'memory.kinds=["case"]', "iterations=1"), tmp_path, "without"
    )
    Trainer(without).train()
    assert without.lines()[0]["memory_shown"] == 0
