"""Training from recorded episodes: which groups, in which order, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.task import Split
from agentgym.core.trace import Episode
from agentgym.store.store import Store
from agentgym.training.data import Recorded
from agentgym.training.recipe import Recipe, load_recipe, parse_recipe
from agentgym.training.recorded import RecordedEpisodes
from tests.training.conftest import EpisodeMaker

RECORDED_WITH = parse_recipe(
    {
        "model": {"path": "somewhere", "dtype": "bfloat16"},
        "environment": {"options": {"difficulty": "easy"}, "max_turns": 7},
        "agent": {"history": 3},
        "rollout": {"temperature": 0.7, "max_tokens": 5},
    }
)


@pytest.fixture
def recording(tmp_path: Path, make_episode: EpisodeMaker) -> Path:
    """Three iterations of two groups of two."""
    path = tmp_path / "runs" / "old"
    path.mkdir(parents=True)
    with Store(path / "store.sqlite") as store:
        store.create_run("old", "train", config=RECORDED_WITH.model_dump(mode="json"), versions={})
        for iteration in range(3):
            for group in ("a", "b"):
                episodes = [
                    replace(
                        make_episode(member, group=f"{iteration}{group}", score=float(member)),
                        id=f"{iteration}{group}{member}",
                    )
                    for member in range(2)
                ]
                store.write_episodes("old", episodes, iteration=iteration)
    return path


def recipe(recording: Path, *settings: str) -> Recipe:
    return load_recipe("dpo", [f"data.path={recording}", "rollout.tasks=2", *settings])


def played(source: RecordedEpisodes, iteration: int) -> list[Episode]:
    heard: list[Episode] = []
    experience = source.play(iteration, lambda episode, _: heard.append(episode))
    assert not heard, "recorded episodes would be recorded again"
    return list(experience.episodes)


def test_a_pass_takes_every_group_once_and_keeps_it_together(recording: Path) -> None:
    source = RecordedEpisodes(recipe(recording))
    assert len(source) == 6
    for first in (0, 3):
        batches = [played(source, first + iteration) for iteration in range(3)]
        assert all(len(batch) == 4 for batch in batches)
        assert all(len({episode.group_id for episode in batch}) == 2 for batch in batches)
        assert len({episode.id for batch in batches for episode in batch}) == 12


def test_batches_are_a_function_of_seed_and_iteration(recording: Path) -> None:
    def order(seed: int) -> list[list[str]]:
        source = RecordedEpisodes(recipe(recording, f"seed={seed}"))
        return [[episode.id for episode in played(source, iteration)] for iteration in (4, 0, 4)]

    first, again, other = order(0), order(0), order(1)
    assert first == again
    assert first[0] == first[2] != first[1]
    assert other != first


def test_iterations_can_be_chosen(recording: Path) -> None:
    source = RecordedEpisodes(recipe(recording, "data.first=1", "data.last=1", "rollout.tasks=9"))
    assert sorted(episode.id for episode in played(source, 0)) == ["1a0", "1a1", "1b0", "1b1"]
    with pytest.raises(ConfigError, match=r"no episodes of iterations 5 to 2; change data.first"):
        RecordedEpisodes(recipe(recording, "data.first=5"))


def test_the_sampling_policy_is_one_of_another_run(recording: Path) -> None:
    episodes = played(RecordedEpisodes(recipe(recording)), 0)
    assert {turn.policy_version for episode in episodes for turn in episode.turns} == {-1}


@pytest.mark.parametrize("split", [Split.HELDOUT, Split.SELECT])
def test_what_is_evaluated_is_not_learned_from(
    recording: Path, make_episode: EpisodeMaker, split: Split
) -> None:
    episode = make_episode(9)
    with Store(recording / "store.sqlite") as store:
        store.write_episodes("old", [replace(episode, task=replace(episode.task, split=split))], iteration=1)
    with pytest.raises(UsageError, match=f"has episodes on {split.value} tasks, such as 'e9'"):
        RecordedEpisodes(recipe(recording))


def test_evaluations_in_the_store_are_left_alone(recording: Path, make_episode: EpisodeMaker) -> None:
    episode = make_episode(9)
    heldout = replace(episode, task=replace(episode.task, split=Split.HELDOUT))
    with Store(recording / "store.sqlite") as store:
        store.write_episodes("old", [heldout], iteration=1, phase="eval")
    assert len(RecordedEpisodes(recipe(recording))) == 6


def test_the_recipe_takes_over_how_the_episodes_were_made(recording: Path, tmp_path: Path) -> None:
    (recording / "warm_start").mkdir()
    resolved = recipe(recording, "agent.history=2")
    assert resolved.environment == RECORDED_WITH.environment
    assert resolved.rollout.temperature == 0.7
    assert resolved.rollout.tasks == 2
    assert resolved.model.path == str(recording / "warm_start")
    assert resolved.model.dtype == "bfloat16"
    assert resolved.agent.history == 2, "what the command line says goes first"
    assert resolved.agent.action_format == "plain"
    assert isinstance(resolved.data, Recorded)
    assert not resolved.data.as_recorded
    saved = tmp_path / "saved.toml"
    saved.write_text(resolved.to_toml(), "utf-8")
    assert load_recipe(saved) == resolved


def test_a_store_file_will_do_and_the_recipe_can_insist(recording: Path) -> None:
    resolved = recipe(recording / "store.sqlite", "data.as_recorded=false")
    assert resolved.agent == load_recipe("dpo").agent
    assert len(RecordedEpisodes(resolved)) == 6


def test_what_is_missing_is_named(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.path=runs/NAME"):
        RecordedEpisodes(load_recipe("dpo"))
    with pytest.raises(ConfigError, match="there is no recording at"):
        recipe(tmp_path / "nothing")
    with Store(recording / "store.sqlite") as store:
        store.create_run("new", "train", config={}, versions={})
    with pytest.raises(ConfigError, match=r"holds the runs old, new; choose one with data.run"):
        recipe(recording)
    assert len(RecordedEpisodes(recipe(recording, "data.run=old"))) == 6
