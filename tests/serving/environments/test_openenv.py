"""OpenEnv's own clients play on our server, and ours plays on servers made with OpenEnv's own library."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

import agentgym
from agentgym.agents.scripted import RandomAgent
from agentgym.core.env import AgentEnv
from agentgym.core.errors import EnvironmentFault, StepError, TaskError, UsageError
from agentgym.core.spaces import Utf8Text
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Outcome
from agentgym.evaluation.runner import evaluate
from tests.serving.environments.stand import served
from tests.serving.environments.worlds import PAINT, PaintingSpec

HERE = Path(__file__).parent
PYTHON = HERE.parents[2] / ".venv-peers" / "bin" / "python"


@pytest.fixture(scope="module")
def urls() -> Generator[dict[str, str]]:
    """Servers made with OpenEnv's library, by what their actions are."""
    assert PYTHON.exists(), (
        f"{PYTHON}: OpenEnv is not installed. Run `make .venv-peers/ready` and test again."
    )
    command = [str(PYTHON), str(HERE / "peers" / "server.py")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        ports = process.stdout.readline().split()
        yield {
            kind: f"ws://127.0.0.1:{port}"
            for kind, port in zip(("text", "fields", "tools"), ports, strict=True)
        }
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def way() -> list[Any]:
    """What a local environment tells on the expert's way, after the actions."""
    local = agentgym.make("household")
    told: list[Any] = [local.reset(seed=3)]
    actions: list[str] = []
    while (action := local.oracle()) is not None:
        actions.append(str(action))
        told.append(local.step(action))
    return [actions, *told]


@pytest.fixture(scope="module")
def theirs(way: list[Any]) -> dict[str, Any]:
    """What OpenEnv's clients made of our servers: one process for both, for they take long to import."""
    calls = [{"colour": "red", "place": 0}, {"colour": "green", "place": 9}]
    with served("household") as household, served(PaintingSpec()) as painting:
        asked = {"text": [household.http, way[0]], "tools": [painting.http, calls]}
        done = subprocess.run(
            [str(PYTHON), str(HERE / "peers" / "client.py")],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert household.empty()
        assert painting.empty()
    return json.loads(done.stdout)


def test_their_client_plays_an_episode_on_our_server(theirs: dict[str, Any], way: list[Any]) -> None:
    actions, (first, info), *_, last = way
    began, *steps, state, refused = theirs["text"]
    assert (began[0]["text"], *began[1:]) == (first, None, False)
    assert began[0]["metadata"]["info"] == info
    observation, reward, done = steps[-1]
    assert (observation["text"], reward, done) == (last[0], 1.0, True)
    assert observation["metadata"]["info"]["success"] is True
    assert [step[2] for step in steps] == [False] * (len(actions) - 1) + [True]
    assert state == {"episode_id": "mine", "step_count": len(actions)}
    assert "An action is" in refused
    assert "VALIDATION_ERROR" in refused


def test_their_client_calls_our_tools(theirs: dict[str, Any]) -> None:
    listed, results, steps = theirs["tools"]
    assert listed == [[PAINT.name, PAINT.input_schema]]
    assert results == [
        "Painted.",
        'The argument \'place\' of paint must fit {"type": "integer", "enum": [0, 1, 2, 3]}.',
    ]
    assert steps == 2


def walked(env: AgentEnv, *actions: Any) -> list[Any]:
    return [env.step(action)[:3] for action in actions]


def test_our_client_plays_on_their_server(urls: dict[str, str]) -> None:
    echo = urls["text"]
    env = agentgym.make(echo)
    assert isinstance(env.action_space, Utf8Text)
    observation, info = env.reset(seed=0)
    word = observation.removeprefix("echoed: ").partition("\n")[0]
    assert observation == f"echoed: {word}\nlength: 0"
    assert info == {"success": False, "progress": 0.0, "valid": True, "task_id": env.task.id}
    assert env.task.env_id == "openenv/Echo-World"
    assert walked(env, "hello") == [(f"echoed: {word} hello\nlength: 5", 0.0, False)]
    with pytest.raises(EnvironmentFault, match=r"a bug in the world \(EXECUTION_ERROR\)"):
        env.step("fail")
    saved, key = env.snapshot(), env.state_key()
    ways = [walked(env, "a", "stop")]
    with pytest.raises(StepError):
        env.step("more")
    twin = agentgym.make(echo)
    twin.restore(saved)
    assert (twin.task, twin.state_key()) == (env.task, key)
    ways.append(walked(twin, "a", "stop"))
    assert (
        ways[0]
        == ways[1]
        == [(f"echoed: {word} a\nlength: 1", 0.0, False), (f"echoed: {word} stop\nlength: 4", 1.0, True)]
    )
    assert env.reset(options={"task": env.task})[0] == observation
    with pytest.raises(TaskError, match="Did you mean 'train-0001'"):
        env.reset(options={"task": "trin-0001"})
    with pytest.raises(UsageError, match="takes no options"):
        agentgym.make(echo, max_steps=3)
    env.close()
    twin.close()


def test_their_server_is_evaluated(urls: dict[str, str]) -> None:
    found = asyncio.run(evaluate(urls["text"], RandomAgent(), "heldout", tasks=4, max_turns=3, concurrency=4))
    assert [result.outcome for result in found.results] == [Outcome.TRUNCATED] * 4


def test_actions_of_several_fields_are_calls_of_one_tool(urls: dict[str, str]) -> None:
    env = agentgym.make(urls["fields"])
    (tool,) = env.tools
    assert (tool.name, sorted(tool.input_schema["properties"])) == ("act", ["high", "low"])
    assert env.reset(seed=0)[0] == "Between which numbers?"
    assert ToolCall("act", {"low": 0}) not in env.action_space
    assert walked(env, ToolCall("act", {"low": 0, "high": 99})) == [("yes", 1.0, False)]
    with pytest.raises(UsageError, match="a call of act"):
        env.step("look")
    env.close()


def test_their_tools_are_tools(urls: dict[str, str]) -> None:
    env = agentgym.make(urls["tools"])
    (tool,) = env.tools
    assert (tool.name, sorted(tool.input_schema["properties"])) == ("add", ["a", "b"])
    env.reset(seed=0)
    observation, *_ = env.step(ToolCall("add", {"a": 2, "b": 40}))
    assert "42" in observation
    env.close()
