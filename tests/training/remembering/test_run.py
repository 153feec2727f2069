"""A policy that learns with a memory: what its run leaves, and that killing it changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentgym.agents.talking import TalkingAgent
from agentgym.cli.policies import EndpointOptions, open_player
from agentgym.core.agent import EpisodeStart
from agentgym.core.memory import ItemKind, ItemStatus, Stance
from agentgym.core.trace import Episode
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.lineage import made_from
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import ExposureRow
from agentgym.memory.tools.toolbox import Toolbox
from agentgym.store.store import Store
from agentgym.training.advantages.exposure import Exposure, fairly_compared
from agentgym.training.advantages.group import GroupMean
from agentgym.training.checkpoint import latest_checkpoint, verify
from agentgym.training.lineage import learned_from, trained_on
from agentgym.training.remembering.library import saved_state
from agentgym.training.remembering.saved import saved_memory
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from agentgym.training.turns import TurnTable
from tests.training.luck import ENV_ID, Luck, LuckSuite, luck_model
from tests.training.remembering.worlds import NOTES, given_library, killed, remembering


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return luck_model(tmp_path_factory.mktemp("model"), max_context=1024)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return given_library(tmp_path_factory.mktemp("library") / "given.sqlite")


@pytest.fixture(scope="module")
def finished(model: Path, library: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run.create(remembering(model, library), tmp_path_factory.mktemp("runs"), "reference")
    Trainer(run).train()
    return run


def episodes(run: Run, iteration: int | None = None) -> list[Episode]:
    with Store(run.store, create=False) as store:
        found = (
            store.episodes(run.name) if iteration is None else store.episodes(run.name, iteration=iteration)
        )
        return sorted(found, key=lambda episode: episode.id)


def exposures(run: Run) -> dict[str, dict[str, bool]]:
    with MemoryStore(run.library, create=False) as store:
        found: dict[str, dict[str, bool]] = {}
        for row in EvidenceLog(store).rows(ExposureRow):
            found.setdefault(row.episode_id.removeprefix(f"{run.name}/"), {})[row.sha] = row.shown
        return found


def state(run: Run) -> dict[str, Any]:
    return saved_state(latest_checkpoint(run.checkpoints).path)


def test_every_episode_tells_what_it_was_shown_and_what_was_withheld(finished: Run) -> None:
    drawn = exposures(finished)
    played = episodes(finished)
    assert {episode.id for episode in played} == set(drawn)
    for episode in played:
        shown = {version for turn in episode.turns for version in turn.shown_items}
        assert shown == {version for version, seen in drawn[episode.id].items() if seen}
        assert {version for turn in episode.turns for version in turn.withheld_items} == set(
            drawn[episode.id]
        ) - shown
    withheld = [not seen for own in drawn.values() for seen in own.values()]
    assert 0.3 < np.mean(withheld) < 0.7
    snapshots = {episode.versions.memory for episode in played}
    with MemoryStore(finished.library, create=False) as store:
        assert all(set(drawn[each.id]) <= set(store.snapshot(each.versions.memory)) for each in played)
    assert len(snapshots) > 1, "the memory is to grow while the policy learns"


def test_the_run_grows_a_library_of_its_own(finished: Run, library: Path) -> None:
    with MemoryStore(library, create=False) as given, MemoryStore(finished.library, create=False) as own:
        assert {entry.name for entry in given.entries()} == set(NOTES)
        written = own.entries([ItemKind.CASE])
        assert written
        assert all(entry.status in (ItemStatus.SHADOW, ItemStatus.RETIRED) for entry in written)
        sources = {each.episode for entry in written for each in own.provenance(entry.version).sources}
        members = own.snapshot(state(finished)["snapshot"])
        assert {entry.version for entry in written} & set(members)
    assert sources <= {f"reference/{episode.id}" for episode in episodes(finished)}
    assert finished.lines()[-1]["memory_items"] == len(members)
    assert sum(line["memory_written"] for line in finished.lines()) == len(written)
    assert any(line["selector_trials"] > 0 for line in finished.lines())


def test_no_episode_trains_the_policy_that_uses_what_was_made_from_it(finished: Run) -> None:
    """Told from what the run has left alone: who was shown what, and who is behind it."""
    kept = state(finished)
    trained: set[str] = set(kept["trained"])
    behind: set[str] = set(kept["behind"])
    played = {f"reference/{episode.id}": episode for episode in episodes(finished)}
    assert trained | behind == set(played)
    with MemoryStore(finished.library, create=False) as store:
        shown = {v for name in trained for turn in played[name].turns for v in turn.shown_items}
        used = frozenset[str]().union(*(made_from(store, version) for version in shown))
    assert used, "cases are to be shown again, or nothing is tested"
    assert not used & trained
    assert {each.group_id for each in played.values()} == {
        *(played[name].group_id for name in trained),
        *(played[name].group_id for name in behind),
    }
    assert all(line["memory_support"] == 4 for line in finished.lines())


def test_rollouts_are_compared_with_those_that_were_shown_the_same(finished: Run) -> None:
    trained: set[str] = set(state(finished)["trained"])
    told: dict[Exposure, list[float]] = {"equal": [], "ignore": []}
    for iteration in range(4):
        taught = [each for each in episodes(finished, iteration) if f"reference/{each.id}" in trained]
        for exposure, values in told.items():
            values.append(advantage(taught, exposure))
    logged = [line["advantage_abs"] for line in finished.lines()]
    assert logged == pytest.approx(told["equal"])
    assert logged != pytest.approx(told["ignore"])


def advantage(taught: Sequence[Episode], exposure: Exposure) -> float:
    table = fairly_compared(TurnTable.from_episodes(taught), exposure)
    return float(np.abs(GroupMean(std=True)(table)).mean())


def test_killed_and_resumed_equals_never_killed(
    finished: Run, model: Path, library: Path, tmp_path: Path
) -> None:
    run = Run.create(remembering(model, library), tmp_path, "reference")
    assert (
        killed(run, "luck", 130) == -9
    )  # in the fourth iteration: the last checkpoint is two iterations old
    assert len(run.lines()) == 3
    with MemoryStore(run.library, create=False) as ahead:
        assert ahead.snapshot(state(run)["snapshot"])
        assert len(EvidenceLog(ahead).rows(ExposureRow)) > 0
    run.library.unlink()  # the checkpoint has all of it
    Trainer(run).train()
    assert (run.path / "metrics.jsonl").read_text() == (finished.path / "metrics.jsonl").read_text()
    assert state(run) == state(finished)
    assert exposures(run) == exposures(finished)
    assert statuses(run) == statuses(finished)
    for name in ("model.safetensors", "optimiser.safetensors", "selector.safetensors"):
        ends = [latest_checkpoint(each.checkpoints).path / name for each in (run, finished)]
        assert ends[0].read_bytes() == ends[1].read_bytes(), name


def statuses(run: Run) -> list[tuple[str, list[tuple[str, str]], list[tuple[str, Stance]]]]:
    with MemoryStore(run.library, create=False) as store:
        return [
            (
                entry.version,
                [(change.status.value, change.reason) for change in store.status_log(entry.version)],
                [(each.episode, each.stance) for each in store.provenance(entry.version).sources],
            )
            for entry in store.entries()
        ]


def test_whoever_plays_the_run_is_shown_its_memory(finished: Run) -> None:
    latest = latest_checkpoint(finished.checkpoints)
    before = finished.library.read_bytes()
    player = open_player(str(finished.path), ENV_ID, 0.0, Path("runs"), options=EndpointOptions())
    assert isinstance(player.agent, TalkingAgent)
    assert isinstance(player.agent.memory, Toolbox)
    assert player.agent.memory.versions.memory == state(finished)["snapshot"]
    task = LuckSuite().tasks("heldout")[0]
    start = EpisodeStart("s", task, 0, Luck(task.split))
    shown = [asyncio.run(player.agent.memory.recall(start, f"Turn 0 of {task.id}.")) for _ in range(2)]
    assert shown[0] == shown[1], "nothing is left to chance"
    assert shown[0].shown
    assert finished.library.read_bytes() == before
    assert verify(latest.path) == 4
    only = saved_memory(finished, [ItemKind.SKILL])
    assert only is not None
    assert not asyncio.run(only.recall(start, f"Turn 0 of {task.id}.")).shown


def test_the_run_that_goes_on_from_another_keeps_apart_what_both_learned(
    finished: Run, tmp_path: Path
) -> None:
    before = latest_checkpoint(finished.checkpoints).path
    assert trained_on(str(before)) == set(state(finished)["trained"])
    assert learned_from(finished) >= {each.task.key for each in episodes(finished)}
    recipe = remembering(before, finished.library, "iterations=1", "checkpoint.every=1")
    run = Run.create(recipe, tmp_path, "second")
    Trainer(run).train()
    assert set(state(run)["trained"]) > set(state(finished)["trained"])
    assert run.lines()[0]["memory_barred"] == 0
