"""Recipes choose the agent: whole runs with each kind, and what does not fit is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentgym.agents.kinds import new_agent
from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Episode
from agentgym.policies.models import ModelConfig, make_model, save_model
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.registry import register
from agentgym.store.store import Store
from agentgym.training.recipe import parse_recipe
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.agents.boxes import SPECS
from tests.agents.playing import Parrot

for spec in SPECS:
    register(spec)

SCRATCH = {
    "vocab_size": 400,
    "hidden_size": 48,
    "layers": 2,
    "heads": 2,
    "kv_heads": 1,
    "head_dim": 24,
    "mlp_size": 96,
    "max_context": 1024,
}
WARM_START = {
    "demonstrations": 30,
    "noise": 0.3,
    "epochs": 48,
    "lr": 5e-3,
    "tokens_per_step": 2048,
    "train_on": "all",
}


def table(kind: str, env: str, **more: Any) -> dict[str, Any]:
    return {
        "name": kind,
        "iterations": 1,
        "environment": {"id": env, "max_turns": 6},
        "agent": {"kind": kind},
        "model": {"scratch": SCRATCH},
        "warm_start": WARM_START,
        "rollout": {"tasks": 6, "group_size": 4, "max_tokens": 40},
        "optimiser": {"lr": 3e-4},
        "evaluation": {"heldout_tasks": 0},
        **more,
    }


def train(folder: Path, recipe: dict[str, Any]) -> tuple[Run, list[Episode]]:
    run = Run.create(parse_recipe(recipe), folder, "run")
    Trainer(run).train()
    with Store(run.store) as store:
        return run, list(store.episodes("run", phase="train"))


def test_a_model_from_scratch_learns_to_call_tools(tmp_path: Path) -> None:
    run, episodes = train(tmp_path, table("toolcalling", "test/ToolBoxes-v0"))
    (line,) = run.lines()
    assert line["success"] > 0.4  # opening any box at once wins a third, and takes a call that parses
    assert line["grad_norm"] > 0
    turns = [turn for episode in episodes for turn in episode.turns]
    calls = [turn.action for turn in turns if turn.valid]
    assert len(calls) > 0.5 * len(turns)
    assert all(isinstance(action, ToolCall) and action.id for action in calls)


def test_a_planner_is_trained_from_a_model_that_is_there(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["peek 1", "open 2"] * 4, 300)
    sizes = ModelConfig(hidden_size=32, layers=1, heads=2, kv_heads=1, head_dim=16, mlp_size=48)
    save_model(make_model(sizes, tokenizer, seed=2, device="cpu"), tokenizer, tmp_path / "model")
    recipe = table(
        "planner",
        "test/TextBoxes-v0",
        model={"path": str(tmp_path / "model")},
        rollout={"tasks": 2, "group_size": 2, "max_tokens": 4},
        advantage={"name": "group_mean", "invalid_action_penalty": 0.1},
        environment={"id": "test/TextBoxes-v0", "max_turns": 2},
    )
    del recipe["warm_start"]
    run, episodes = train(tmp_path, recipe)
    (line,) = run.lines()
    assert [len(turn.thoughts) for episode in episodes for turn in episode.turns] == [1, 2] * 4
    assert line["sampled_tokens"] == sum(episode.sampled_tokens for episode in episodes) > 0
    assert line["grad_norm"] > 0
    assert line["gap_mean"] < 1e-3
    thoughts = [thought for episode in episodes for turn in episode.turns for thought in turn.thoughts]
    assert all(np.isfinite(thought.logprobs).all() and thought.policy_version == 0 for thought in thoughts)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "warm start of a planner": (
        {},
        "warm_start would dictate answers, but the agent 'planner' gives several",
    ),
    "curriculum of a planner": (
        {"warm_start": None, "curriculum": {"name": "b2f"}},
        "curriculum would dictate answers",
    ),
    "side task of tools": (
        {"agent": {"kind": "toolcalling"}, "side_task": {"name": "feedback"}},
        "the side_task 'feedback' would tell conversations anew",
    ),
    "format of react": (
        {"agent": {"kind": "react", "action_format": "tagged"}},
        "`action_format` is for the kinds 'chat' and 'planner'",
    ),
    "unknown": ({"agent": {"kind": "reakt"}}, "agent.kind: got 'reakt'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_the_agent_is_refused(case: str) -> None:
    changes, advice = REFUSED[case]
    with pytest.raises(ConfigError, match=re.escape(advice)):
        parse_recipe({**table("planner", "test/ToolBoxes-v0"), "model": {"path": "model"}, **changes})


def test_a_world_that_does_not_fit_the_agent_ends_the_run_with_advice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes calls of its tools"):
        train(tmp_path, table("chat", "test/ToolBoxes-v0"))


def test_a_format_that_an_agent_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="has a form of its own"):
        new_agent("toolcalling", Parrot(), action_format="tagged")
