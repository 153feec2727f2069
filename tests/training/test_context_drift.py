"""Context drift in a run: measured turn by turn, kept, and able to call for reminders."""

from __future__ import annotations

import pytest

from agentgym.core.errors import ConfigError
from agentgym.policies.divergence import DriftGauge
from agentgym.policies.models import load_model
from agentgym.store.store import Store
from agentgym.training.context_drift import DRIFT_FILE, by_turn, drift_metrics, turn_drift
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.test_trainer import tiny

FEW = (
    *("iterations=1", "evaluation.heldout_tasks=0", "evaluation.drift_episodes=5"),
    *("agent.restate_task=false", "agent.remind_above=0.0"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run.create(tiny(*FEW), tmp_path_factory.mktemp("runs"), "drifting")
    Trainer(run).train()
    return run


def test_the_figures_are_those_of_the_episodes(run: Run) -> None:
    (line,), (turns,) = run.lines(), run.lines(DRIFT_FILE)
    loaded = load_model(
        run.checkpoints / "000000" if (run.checkpoints / "000000").is_dir() else run.warm_start
    )
    gauge = DriftGauge(loaded.model.float(), loaded.tokenizer)
    with Store(run.store) as store:
        episodes = sorted(store.episodes(run.name, phase="train"), key=lambda episode: episode.id)[:5]
    drift_ET = [turn_drift(gauge, episode, "full") for episode in episodes]
    assert line["context_drift"] == pytest.approx(drift_metrics(drift_ET)["context_drift"], rel=1e-3)
    assert line["context_drift"] > 0
    assert turns == pytest.approx({"iteration": 0, **by_turn(drift_ET)}, rel=1e-3, abs=1e-6)
    assert turns["turn_00"] == 0.0


def test_the_slope_is_that_of_the_line_through_the_turns() -> None:
    found = drift_metrics([[0.0, 1.0, 1.5, 2.0], [0.0, 1.0]])
    assert found["context_drift_slope"] == pytest.approx(0.5)
    assert found["context_drift"] == pytest.approx(5.5 / 4)
    assert drift_metrics([]) == {"context_drift": 0.0, "context_drift_slope": 0.0}


def test_a_drifting_policy_is_reminded(run: Run) -> None:
    loaded = load_model(run.warm_start)
    gauge = DriftGauge(loaded.model.float(), loaded.tokenizer)
    with Store(run.store) as store:
        episode = next(store.episodes(run.name, phase="train"))
    drifted = [drift > 0 for drift in turn_drift(gauge, episode, "full")]
    reminded = ["Your task is to: " in turn.messages_delta[0].content for turn in episode.turns[1:]]
    assert reminded == drifted[:-1]
    assert (reminded[0], any(reminded)) == (False, True), "the first answer cannot have drifted"


def test_only_conversations_of_one_answer_are_measured() -> None:
    with pytest.raises(ConfigError, match="drift_episodes` would tell conversations anew"):
        tiny("evaluation.drift_episodes=2", "agent.kind=planner", "warm_start.epochs=1")
