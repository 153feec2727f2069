"""A viewer on an event loop in a thread of its own, and small runs to look at."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.core.message import Message
from agentgym.core.task import Split, Task
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Episode, Outcome, StopReason, Turn
from agentgym.serving.viewer.server import Viewer
from agentgym.store.store import Store
from agentgym.store.writer import EpisodeWriter

TOKEN = "a-token"
PATIENCE_S = 60.0
CONFIG = {"name": "tiny", "advantage": {"name": "step_group", "gamma": 0.5, "std": False}}


@contextlib.contextmanager
def served(root: Path, **settings: Any) -> Generator[Viewer]:
    """Serve the runs in `root` until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    viewer = Viewer(root, token=TOKEN, **settings)
    try:
        asyncio.run_coroutine_threadsafe(viewer.__aenter__(), loop).result(PATIENCE_S)
        try:
            yield viewer
        finally:
            leaving = asyncio.run_coroutine_threadsafe(viewer.__aexit__(None, None, None), loop)
            leaving.result(PATIENCE_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()


def turn(observation: Any, action: str | ToolCall, reward: float = 0.0, state: str = "", **more: Any) -> Turn:
    """A turn of two sampled tokens, the second of which was hardly to be expected."""
    ids = np.array([7, 8], np.int32)
    said = action if isinstance(action, str) else ""
    fields: dict[str, Any] = {
        "valid": True,
        "completion_ids": ids,
        "logprobs": np.array([-0.001, -4.0], np.float32),
        "loss_mask": np.ones(2, np.int8),
        "timing": {"policy": 0.2, "env": 0.001},
    }
    return Turn(
        observation=observation,
        action=action,
        reward=reward,
        terminated=False,
        truncated=False,
        state_key=state,
        policy_version=1,
        prompt_start=0,
        prompt_ids=ids,
        messages_delta=(Message("assistant", said),),
        **{**fields, **more},
    )


def episode(name: str, turns: Sequence[Turn], outcome: Outcome, **more: Any) -> Episode:
    """An episode whose score is what its turns earned."""
    score = float(sum(one.reward for one in turns)) if outcome.scored else None
    fields: dict[str, Any] = {"group_id": "g", "task": task("task-1"), "error": None}
    fields |= more
    return Episode(
        id=name,
        turns=turns,
        outcome=outcome,
        score=score,
        stop_reason=StopReason.COMPLETED,
        seed=1,
        **fields,
    )


def task(name: str) -> Task:
    return Task(name, "test/Test-v0", Split.TRAIN, params={"goal": f"do {name}"})


def make_run(root: Path, name: str, episodes: Sequence[Episode], iterations: int = 3) -> Path:
    """Write a training run through the store's own writer."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "recipe.toml").touch()
    rates = [{"iteration": n, "sampled_tokens_per_s": 100.0 + n} for n in range(iterations)]
    (folder / "timing.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rates))
    with Store(folder / "store.sqlite") as store:
        store.create_run(name, "train", config=CONFIG, versions={"python": "3"})
        for iteration in range(iterations):
            figures = {"success": 0.25 * iteration, "kl": 0.01, "no_signal_share": 0.5}
            store.log_metrics(name, iteration, figures)
        with EpisodeWriter(store, name) as writer:
            for one in episodes:
                writer.write(one, iteration=0)
    return folder


def good_and_bad() -> list[Episode]:
    """Two rollouts of a group that part ways in their second turn, and one that ended by a fault."""
    start = turn("A fork in the road.", "go left", state="fork")
    image = np.zeros((4, 6, 3), np.uint8)
    tree = {"text": "[1] button 'Buy'", "image": image, "url": "/shop"}
    call = ToolCall("buy", {"what": "tea"}, "call-1")
    good = [start, turn(tree, call, 1.0, "shop", shown_items=("hint@1",))]
    bad = [
        turn("A fork in the road.", "go right", state="fork"),
        turn("A wall.", "push wall", state="wall", valid=False),
    ]
    return [
        episode("e/good", good, Outcome.SUCCESS, final_observation="You have tea."),
        episode("e/bad", bad, Outcome.FAILURE),
        episode("e/lost", [start], Outcome.ENV_ERROR, error="The world fell over.", group_id="h"),
    ]  # fmt: skip
