"""Training with imagined groups: their share, their marks, their figures, and resuming."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agentgym.cli.replay import replay
from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.trace import Episode
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import ExposureRow
from agentgym.training.imagination.buffer import ReplayBuffer
from agentgym.training.imagination.edge import EdgeOfAbility, MidwayStarts, outcome_variance
from agentgym.training.imagination.model import Opening
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.imagination.conftest import TASKS, play
from tests.training.luck import luck_model, luck_recipe
from tests.training.remembering.worlds import given_library, remembering
from tests.training.test_played import episodes, plays, train

SETTINGS = [
    "imagination={name = 'counted', share = 0.5, varied = 0.5}",
    "rollout.tasks=4",
    "rollout.group_size=4",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return luck_model(tmp_path_factory.mktemp("models") / "student", max_context=1024)


def test_the_share_is_played_in_the_model_once_there_is_something_to_imagine(
    model: Path, tmp_path: Path
) -> None:
    run = train(tmp_path, model, *SETTINGS)
    assert [line["imagined_groups"] for line in run.lines()] == [0, 2, 2, 2]
    dreams = episodes(run, phase="imagined")
    real = episodes(run, phase="train")
    assert (len(dreams), len(real)) == (3 * 2 * 4, 16 + 3 * 2 * 4)
    assert all(each.task.imagined and each.task.env_id == "imagined:test/Luck-v0" for each in dreams)
    assert not any(each.task.imagined for each in real)
    assert all(each.outcome.scored for each in dreams)
    with pytest.raises(UsageError, match="played in a model of its environment"):
        replay(str(run.path), dreams[0].id)
    assert any("/from-" in each.task.id for each in dreams)
    assert any("/from-" not in each.task.id for each in dreams)
    for line in run.lines()[1:]:
        played = [each for each in real if each.id.startswith(f"train-{int(line['iteration']):06d}")]
        assert line["success"] == pytest.approx(sum(each.success for each in played) / len(played))
        assert line["imagined_faults"] == 0.0


def test_an_interrupted_run_dreams_on_as_if_it_had_not_been(model: Path, tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", model, *SETTINGS)
    assert any(line["grad_norm"] > 0 for line in whole.lines())
    resumed = train(tmp_path / "resumed", model, *SETTINGS, stop_after=2)
    assert resumed.lines() == whole.lines()
    assert plays(resumed) == plays(whole)


def test_another_runs_episodes_are_known_from_the_beginning(model: Path, tmp_path: Path) -> None:
    first = train(tmp_path / "first", model)
    part = f"{{name = 'counted', share = 0.5, episodes = '{first.path}'}}"
    second = train(tmp_path / "second", model, f"imagination={part}", "iterations=2")
    assert [line["imagined_groups"] for line in second.lines()] == [0, 2]


def test_what_is_imagined_is_shown_the_memory_and_says_nothing_of_it(model: Path, tmp_path: Path) -> None:
    library = given_library(tmp_path / "given.sqlite")
    likeness = ("memory.support=0", "memory.retriever=likeness", "iterations=2", SETTINGS[0])
    run = Run.create(remembering(model, library, *likeness), tmp_path, "run")
    Trainer(run).train()
    dreams = episodes(run, phase="imagined")
    assert dreams
    assert all(len(each.turns[0].shown_items) == 2 for each in dreams), "no lottery withholds any"
    with MemoryStore(run.library, create=False) as store:
        noted = {row.episode_id for row in EvidenceLog(store).rows(ExposureRow)}
    assert any("train-" in name for name in noted)
    assert not any("imagined" in name for name in noted)


def test_nothing_is_imagined_where_nothing_is_played(model: Path) -> None:
    with pytest.raises(ConfigError, match="imagination would change how episodes are played"):
        luck_recipe(model, "imagination=counted", "data=demonstrations")


def test_variance_decides_which_tasks_are_at_the_edge() -> None:
    assert outcome_variance([1, 1, 0, 0]) == 0.25
    assert outcome_variance([1, 0, 0, 0]) == pytest.approx(3 / 16)
    groups = play(TASKS[:3], 4, "edge")
    successes = {TASKS[0].key: 4, TASKS[1].key: 2, TASKS[2].key: 1}

    def scored(each: Episode, place: int) -> Episode:
        won = place % 4 < successes[each.task.key]
        return replace(each, outcome=type(each.outcome)("success" if won else "failure"), score=float(won))

    edge = EdgeOfAbility()
    edge.take_in([scored(each, place) for place, each in enumerate(groups)])
    assert [task.key for task in edge.tasks(2)] == [TASKS[1].key, TASKS[2].key]
    edge.take_in([replace(each, outcome=type(each.outcome)("failure"), score=0.0) for each in groups[4:8]])
    assert edge.tasks(1)[0].key == TASKS[2].key, "what was heard before of a task is forgotten"


def test_a_variation_begins_where_an_episode_was(buffer: ReplayBuffer, played: list[Episode]) -> None:
    task = played[0].task
    way = next(way for way in buffer.ways[task.key] if len(way) > 1)
    opening = Opening(way[0].moment.observation, "find it", way[0].moment.state)
    varied = MidwayStarts(buffer).vary(task, opening, 3)
    assert varied is not None
    assert varied == MidwayStarts(buffer).vary(task, opening, 3)
    states = {each.moment.state for known in buffer.ways[task.key] for each in known[1:]}
    assert varied.params["state"] in states
    assert str(varied.params["observation"]).startswith(opening.observation)
    assert MidwayStarts(ReplayBuffer()).vary(task, opening, 3) is None
