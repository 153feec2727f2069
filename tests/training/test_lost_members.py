"""Members of groups that infrastructure fails: played again, or left out of what is learned, and told."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import agentgym
from agentgym.cli.progress import TerminalProgress
from agentgym.core.env import AgentEnv
from agentgym.core.errors import ConfigError, EnvironmentFault
from agentgym.core.task import Split, TaskSuite
from agentgym.core.trace import Episode, Outcome
from agentgym.rollout.monitor import Monitor
from agentgym.store.store import Store
from agentgym.training.progress import Silent
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.luck import Luck, LuckSuite, luck_model, luck_recipe

ENV_ID = "test/Unreliable-v0"


class Unreliable(Luck):
    """Luck that fails to begin two in five episodes: always, or where there is a folder, once for each seed."""

    def __init__(self, split: Split, folder: str = "") -> None:
        super().__init__(split)
        self._folder = folder

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        assert seed is not None
        marker = Path(self._folder) / str(seed)
        if seed % 5 < 2 and not (self._folder and marker.exists()):
            if self._folder:
                marker.touch()
            raise EnvironmentFault("The display is gone.")
        return super().reset(seed=seed, options=options)


class UnreliableSuite(LuckSuite):
    env_id = ENV_ID


class UnreliableSpec:
    id, name, summary = ENV_ID, "unreliable", "Made for tests."

    def make(self, split: Split, **options: Any) -> AgentEnv:
        return Unreliable(split, **options)

    def suite(self, **options: Any) -> TaskSuite:
        return UnreliableSuite()


SPEC = UnreliableSpec()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    agentgym.register(SPEC)
    return luck_model(tmp_path_factory.mktemp("models") / "student")


class Told(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def train(folder: Path, name: str, model: Path, *more: str) -> tuple[Run, list[Episode], Told]:
    settings = (f"environment.id={ENV_ID}", "rollout.group_size=4", "iterations=2", *more)
    run, told = Run.create(luck_recipe(model, *settings), folder, name), Told()
    Trainer(run, told).train()
    with Store(run.store) as store:
        return run, list(store.episodes(run.name)), told


def plays(episodes: list[Episode]) -> Any:
    return sorted(
        (episode.id, episode.seed, episode.score, [str(turn.action) for turn in episode.turns])
        for episode in episodes
    )


def test_a_group_goes_on_above_its_least_and_is_dropped_below(model: Path, tmp_path: Path) -> None:
    run, episodes, told = train(
        tmp_path, "run", model, "rollout.retries=0", "rollout.min_group=3", "rollout.tasks=4"
    )
    assert told.lines == []
    for iteration, metrics in enumerate(run.lines()):
        groups: dict[str, list[Episode]] = defaultdict(list)
        for episode in episodes:
            if episode.id.startswith(f"train-{iteration:06d}"):
                groups[episode.group_id].append(episode)
        scored = {
            group: [episode for episode in members if episode.outcome.scored]
            for group, members in groups.items()
        }
        left = [members for members in scored.values() if len(members) >= 3]
        assert metrics["groups_dropped"] == 4 - len(left)
        assert metrics["unscored"] == 16 - sum(len(members) for members in scored.values())
        tokens = sum(episode.sampled_tokens for members in left for episode in members)
        assert metrics["sampled_tokens"] == tokens
    dropped = [metrics["groups_dropped"] for metrics in run.lines()]
    assert 0 < sum(dropped) < 8  # both happened
    lost = [episode for episode in episodes if not episode.outcome.scored]
    assert {(episode.outcome, episode.score) for episode in lost} == {(Outcome.ENV_ERROR, None)}


def test_a_fault_that_passes_changes_nothing(model: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    again = ("rollout.retries=1", "rollout.retry_share=1")
    run, episodes, told = train(
        tmp_path, "faults", model, *again, f"environment.options.folder={tmp_path / 'none'}"
    )
    calm, others, _ = train(  # every seed has failed already
        tmp_path, "calm", model, *again, f"environment.options.folder={tmp_path / 'none'}"
    )
    # What is played again is in another batch: the last bits of its log-probabilities may differ.
    assert run.lines() == [pytest.approx(line, rel=1e-3, abs=1e-6) for line in calm.lines()]
    assert plays(episodes) == plays(others)
    failures = [json.loads(line) for line in (run.path / "failures.jsonl").read_text().splitlines()]
    assert {failure["outcome"] for failure in failures} == {"env_error"}
    assert sorted(failure["episode"] for failure in failures) == sorted(
        episode.id for episode in episodes if episode.seed % 5 < 2
    )
    first, second = told.lines
    assert first.startswith("Iteration 1: ")
    assert "episodes failed and were played again" in second
    assert "The display is gone." in first
    assert not (calm.path / "failures.jsonl").exists()


def test_an_environment_in_threads_plays_the_same_episodes(model: Path, tmp_path: Path) -> None:
    inline, threads = (
        train(tmp_path, stepping, model, f"rollout.stepping={stepping}")[1]
        for stepping in ("inline", "thread")
    )
    assert plays(inline) == plays(threads)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("rollout.stepping=fork", "rollout.stepping: got 'fork'"),
        ("rollout.step_timeout_s=0", "rollout.step_timeout_s: got 0"),
        ("rollout.policy_timeout_s=inf", "rollout.policy_timeout_s: got inf"),
        ("rollout.retries=-1", "rollout.retries: got -1"),
        ("rollout.retry_share=2", "rollout.retry_share: got 2"),
        ("rollout.min_group=9", "`min_group` is more than `group_size`"),
        ("rollout.step_timeout=3", "Did you mean 'step_timeout_s'?"),
    ],
)
def test_what_cannot_be_is_refused(setting: str, words: str, model: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        luck_recipe(model, setting)
    assert words in str(caught.value)


def test_figures_are_shown_on_a_terminal_and_nowhere_else() -> None:
    monitor = Monitor()
    monitor.planned = 7
    place = monitor.begin("e")
    monitor.enter(place, "environment", "step")
    monitor.leave(place)
    monitor.turn(place, 5)
    figures = monitor.figures
    assert "1 in flight" in figures.line
    for terminal in (True, False):
        out = Console(file=io.StringIO(), force_terminal=terminal, width=200)
        with TerminalProgress(out) as progress:
            progress.stage("reinforcement", 3)
            progress.playing(figures)
        assert isinstance(out.file, io.StringIO)
        assert ("0/7, " in out.file.getvalue()) == terminal
