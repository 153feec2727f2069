"""Episodes with everything that an export has to cope with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agentgym.core.message import Message
from agentgym.core.policy import TokenCount
from agentgym.core.task import Split, Task
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Episode, Origin, Outcome, StopReason, Thought, Turn, Versions
from agentgym.store.exports.source import Source

SOURCE = Source("run-1", "tester", "some-model", "2030-01-01T00:00:00+00:00", {"agentgym-harness": "9.9"})
TASK = Task("task/1", "test/Test-v0", Split.HELDOUT, seed=2, params={"task_type": "easy"}, difficulty="hard")
HOSTILE = "<script>alert(1)</script>\ud800\x1b[31m\x00"


def ids(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(numbers, np.int32)


def turn(
    start: int, prompt: tuple[int, ...], answer: tuple[int, ...], observation: object = "A room."
) -> Turn:
    return Turn(
        observation=observation,
        action="go east",
        reward=0.5,
        terminated=False,
        truncated=False,
        valid=True,
        state_key="room",
        policy_version=4,
        prompt_start=start,
        prompt_ids=ids(*prompt),
        completion_ids=ids(*answer),
        logprobs=np.full(len(answer), -0.25, np.float32),
        loss_mask=np.ones(len(answer), np.int8),
        messages_delta=(Message("user", "A room."), Message("assistant", "I go east.")),
        timing={"policy": 0.1, "env": 0.2},
        usage=TokenCount(start + len(prompt), len(answer)),
    )


def episodes() -> list[Episode]:
    """A plain one with growing tokens; one with tools, thoughts, pictures and hostile text; a fault; an empty one."""
    first = turn(0, (1, 2, 3), (4, 5))
    told = replace(first, messages_delta=(Message("system", "Play well."), *first.messages_delta))
    plain = Episode(
        "eval/0000/01",
        TASK,
        "eval/0000",
        [told, turn(5, (6,), (7, 8))],
        Outcome.SUCCESS,
        1.0,
        StopReason.COMPLETED,
        seed=2**63 - 1,
        versions=Versions(4, "m"),
        final_observation="Solved.",
    )
    picture = {"text": HOSTILE, "image": np.zeros((2, 3, 3), np.uint8)}
    thought = Thought(4, 0, ids(1, 2), ids(9), np.full(1, -1.0, np.float32), np.ones(1, np.int8))
    tooled = replace(
        turn(3, (10,), (11,), picture),
        action=ToolCall("press", {"key": "a"}, ""),
        thoughts=(thought,),
        loss_mask=np.zeros(1, np.int8),
        messages_delta=(Message("assistant", HOSTILE),),
        usage=TokenCount(6, 2),
        shown_items=("m1",),
        withheld_items=("m2",),
    )
    odd = replace(
        plain,
        id="eval/0000/00",
        turns=[tooled],
        outcome=Outcome.TRUNCATED,
        score=0.5,
        stop_reason=StopReason.TOKEN_LIMIT,
        final_observation=picture,
        origin=Origin("eval/0000/01", 1),
    )
    fault = replace(
        plain,
        id="eval/0001/00",
        task=replace(TASK, id="task/2"),
        turns=[],
        outcome=Outcome.ENV_ERROR,
        score=None,
        stop_reason=StopReason.ERROR,
        error=f"Traceback\nEnvironmentFault: gone {HOSTILE}",
        final_observation=None,
    )
    return [plain, odd, fault]
