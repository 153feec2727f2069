"""The lottery in real episodes: who is shown what, and what is written about it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from agentgym.agents.chat import ChatAgent
from agentgym.agents.toolcalling import ToolCallingAgent
from agentgym.core.agent import EpisodeStart
from agentgym.core.errors import ConfigError, LeakError
from agentgym.core.memory import ItemKind, MemoryItem, Recollection
from agentgym.core.task import Split
from agentgym.core.trace import Outcome
from agentgym.memory.credit.evidence import read_rollouts
from agentgym.memory.credit.lottery import ExposureLottery, chance
from agentgym.memory.recall import Recall, RecallSettings
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import ExposureRow, OutcomeRow
from tests.agents.boxes import TOLD, TextBoxes, ToolBoxes, task
from tests.agents.playing import Parrot, call, play
from tests.memory.episodes import episode
from tests.memory.making import principle

ITEMS = [principle(f"p{n}", f"Look into box {n} before you open one for the prize.") for n in range(4)]
SKILL = MemoryItem(ItemKind.SKILL, "find-prize", "How to find the prize in a box.", "Peek into each box.")


@pytest.fixture
def location(tmp_path: Path) -> str:
    return str(tmp_path / "memory.db")


def lottery(
    store: MemoryStore, *items: MemoryItem, seed: int = 0, run: str = "", load_skills: bool = False
) -> ExposureLottery:
    snapshot = store.take_snapshot([store.put(item) for item in items or ITEMS])
    recall = Recall(store, snapshot, RecallSettings(load_skills=load_skills))
    return ExposureLottery(recall, EvidenceLog(store), seed=seed, run=run)


def ask(memory: ExposureLottery | Recall, name: str, split: Split = Split.TRAIN) -> Recollection:
    asked = next(each for each in ToolBoxes.suite.tasks(split) if each.params["prize"] == 2)
    return asyncio.run(memory.recall(EpisodeStart(name, asked, 0, ToolBoxes()), TOLD))


def test_each_candidate_has_its_own_draw(store: MemoryStore) -> None:
    memory = lottery(store)
    shown = [set(ask(memory, f"e{n}").shown) for n in range(200)]
    bits = np.array([[item.version in each for item in ITEMS] for each in shown], float)
    assert np.abs(bits.mean(0) - 0.5).max() < 0.12
    assert np.abs(np.corrcoef(bits.T) - np.eye(4)).max() < 0.25
    assert len({frozenset(each) for each in shown}) == 16


def test_draws_depend_on_the_seed_and_the_episode_alone(store: MemoryStore) -> None:
    names = [f"e{n}" for n in range(30)]
    first = {name: ask(lottery(store), name).shown for name in names}
    again = lottery(store)
    assert {name: ask(again, name).shown for name in reversed(names)} == first
    assert all(ask(again, name).shown == first[name] for name in names)
    renamed, other = lottery(store, run="second"), lottery(store, seed=1)
    assert {name: ask(renamed, name).shown for name in names} == first
    assert {name: ask(other, name).shown for name in names} != first


def test_chance_is_even() -> None:
    draws = np.array([chance(0, f"e{n}") for n in range(5000)])
    assert np.abs(np.histogram(draws, 10, (0, 1))[0] / 5000 - 0.1).max() < 0.02


def test_an_episode_is_written_with_what_it_was_shown_and_not(store: MemoryStore) -> None:
    memory = lottery(store, run="run")
    played = play(ChatAgent(Parrot("open box 2"), memory=memory), TextBoxes)
    memory.note(played)
    memory.note(played)
    rows = EvidenceLog(store).rows(ExposureRow)
    assert {row.sha for row in rows} == {item.version for item in ITEMS}
    assert {row.sha for row in rows if row.shown} == set(played.turns[0].shown_items) != set()
    assert {(row.episode_id, row.group_id, row.probability, row.snapshot) for row in rows} == {
        ("run/episode", "run/group", 0.5, memory.versions.memory)
    }
    assert sorted(row.rank for row in rows) == [0, 1, 2, 3]
    (outcome,) = EvidenceLog(store).rows(OutcomeRow)
    assert (outcome.episode_id, outcome.reward, outcome.steps) == ("run/episode", played.score, 1)
    (read,) = read_rollouts(EvidenceLog(store))
    assert {each.version: each.shown for each in read.exposures} == {row.sha: row.shown for row in rows}


def test_failed_machines_have_exposures_and_no_outcome(store: MemoryStore) -> None:
    memory = lottery(store)
    ask(memory, "e1")
    memory.note(episode("e1", outcome=Outcome.ENV_ERROR))
    assert len(EvidenceLog(store).rows(ExposureRow)) == 4
    assert EvidenceLog(store).rows(OutcomeRow) == read_rollouts(EvidenceLog(store)) == []


def test_evaluated_tasks_are_shown_everything_and_leave_no_trace(store: MemoryStore) -> None:
    memory = lottery(store)
    for split in (Split.SELECT, Split.HELDOUT):
        assert len(ask(memory, f"{split}", split).shown) == 4
        memory.note(episode(f"{split}", split=split))
    ask(memory, "e1")
    with pytest.raises(LeakError):
        memory.note(episode("e1", split=Split.SELECT))
    assert EvidenceLog(store).rows(ExposureRow) == EvidenceLog(store).rows(OutcomeRow) == []


def test_what_does_not_fit_is_no_candidate(store: MemoryStore) -> None:
    """Whether one item fits may not depend on whether chance has shown another."""
    long = principle("long", "Look into a box for the prize. " * 400)
    memory = lottery(store, *ITEMS[:2], long)
    for n in range(20):
        ask(memory, f"e{n}")
        memory.note(episode(f"e{n}"))
    assert {row.sha for row in EvidenceLog(store).rows(ExposureRow)} == {item.version for item in ITEMS[:2]}


def test_a_withheld_skill_cannot_be_loaded(store: MemoryStore) -> None:
    memory = lottery(store, SKILL, load_skills=True)
    loaded: dict[bool, set[bool | None]] = {True: set(), False: set()}
    for n in range(12):
        start = EpisodeStart(f"e{n}", task(ToolBoxes, 2), 0, ToolBoxes())
        shown = bool(asyncio.run(memory.recall(start, TOLD)).shown)
        text = asyncio.run(memory.call(start, "load_skill", {"name": "find-prize"})).text
        assert (SKILL.body in text) == shown
        assert ("There is no skill 'find-prize'" in text) != shown
        memory.note(episode(f"e{n}"))
        (row,) = EvidenceLog(store).rows(ExposureRow, episode_id=f"e{n}")
        loaded[row.shown].add(row.used)
    assert loaded == {True: {True}, False: {None}}


def test_an_agent_that_calls_tools_plays_with_it(store: MemoryStore) -> None:
    memory = lottery(store, SKILL, load_skills=True, seed=3)
    answers = [call("load_skill", {"name": "find-prize"}), call("open", box=2)]
    played = play(ToolCallingAgent(Parrot(*answers), memory=memory), ToolBoxes)
    memory.note(played)
    assert played.success
    assert len(read_rollouts(EvidenceLog(store))) == 1


def test_probabilities_that_teach_nothing_are_refused(store: MemoryStore) -> None:
    recall = Recall(store, store.take_snapshot([]))
    for probability in (0.0, 0.1, 0.9, 1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"from 0.2 to 0.8"):
            ExposureLottery(recall, EvidenceLog(store), seed=0, probability=probability)
