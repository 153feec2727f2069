"""What a world shows is what the endpoint is sent and what the store keeps, dot by dot."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from agentgym.agents.chat import ChatAgent
from agentgym.agents.planner import PlannerAgent
from agentgym.agents.react import ReActAgent
from agentgym.agents.toolcalling import ToolCallingAgent
from agentgym.core.agent import Agent
from agentgym.core.env import StepResult
from agentgym.core.errors import ConfigError
from agentgym.core.message import Message
from agentgym.core.policy import Policy
from agentgym.core.spaces import Utf8Text
from agentgym.core.trace import Episode, Outcome
from agentgym.policies.endpoint import EndpointPolicy, EndpointSettings
from agentgym.policies.rendering import ChatRenderer
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.rollout.episode import run_episode
from agentgym.store.store import Store
from tests.agents.boxes import TextBoxes, ToolBoxes, task
from tests.agents.playing import Parrot
from tests.policies.chat_api import ChatApi


def picture(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 255, (12, 20, 3), np.uint8)


def seen(url: str) -> NDArray[np.uint8]:
    kind, _, data = url.partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.asarray(image)


class _Shown(ToolBoxes):
    """The boxes with a picture of each moment."""

    observation_space: gym.Space[Any] = gym.spaces.Dict(
        {"text": Utf8Text(), "image": gym.spaces.Box(0, 255, (12, 20, 3), np.uint8)}
    )
    moment = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        text, info = super().reset(seed=seed, options=options)
        return self._show(text), info

    def step(self, action: Any) -> StepResult:
        text, reward, terminated, truncated, info = super().step(action)
        return self._show(text), reward, terminated, truncated, info

    def _show(self, text: str) -> dict[str, Any]:
        self.moment += 1
        return {"text": text, "image": picture(self.moment)}


class ShownTextBoxes(_Shown, TextBoxes):
    pass


class ShownToolBoxes(_Shown, ToolBoxes):
    pass


def looking(body: dict[str, Any]) -> str | dict[str, Any]:
    """An endpoint that acts on what it sees: it answers by how many pictures there are, if the last is the right one."""
    urls = [
        part["image_url"]["url"]
        for message in body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]
    moment = len(urls)
    if not np.array_equal(seen(urls[-1]), picture(moment)):
        return "I see another picture"
    name = "open" if moment == 2 else "peek"
    if "tools" in body:
        function = {"name": name, "arguments": json.dumps({"box": moment})}
        call = {"id": f"c{moment}", "type": "function", "function": function}
        return {"role": "assistant", "content": "", "tool_calls": [call]}
    return f"Action: {name} {moment}" if "Action:" in str(body["messages"][0]) else f"{name} {moment}"


@pytest.mark.parametrize(
    ("make_agent", "env"),
    [(ChatAgent, ShownTextBoxes), (ToolCallingAgent, ShownToolBoxes), (ReActAgent, ShownTextBoxes)],
)
def test_pictures_go_through_agent_endpoint_and_store(
    tmp_path: Path, make_agent: Callable[[Policy], Agent], env: type[_Shown]
) -> None:
    with ChatApi(looking) as api:
        policy = EndpointPolicy(EndpointSettings(url=api.url, api_key_env="NO_SUCH_KEY"))
        episode = asyncio.run(
            run_episode(
                env(), make_agent(policy), task(env, 2), episode_id="e", group_id="g", seed=1, max_turns=4
            )
        )
    assert (episode.outcome, len(episode.turns)) == (Outcome.SUCCESS, 2)
    assert [message.images for message in _told(episode) if message.images] != []
    with Store(tmp_path / "store.sqlite") as store:
        store.create_run("run", "eval", config={}, versions={})
        store.write_episodes("run", [episode], iteration=0, phase="eval")
        kept = store.episode("e")
    assert _told(kept) == _told(episode)
    for moment, turn in enumerate(kept.turns, start=1):
        assert np.array_equal(turn.observation["image"], picture(moment))
        (url,) = [image for message in turn.messages_delta for image in message.images]
        assert np.array_equal(seen(url), picture(moment))


def test_planning_modules_see_the_picture() -> None:
    parrot = Parrot("peek at box 2", "peek 2", "going on", "open it", "open 2")
    episode = asyncio.run(
        run_episode(
            ShownTextBoxes(),
            PlannerAgent(parrot),
            task(TextBoxes, 2),
            episode_id="e",
            group_id="g",
            seed=1,
            max_turns=4,
        )
    )
    assert episode.outcome is Outcome.SUCCESS
    shown = [seen(url) for request in parrot.requests for url in request.messages[-1].images]
    assert [np.array_equal(each, picture(1)) for each in shown] == [True, True, False, False, False]


def test_a_policy_that_reads_text_says_so() -> None:
    renderer = ChatRenderer(train_tokenizer(["a world"], 300))
    with pytest.raises(ConfigError, match="This policy reads text alone, and is shown pictures"):
        renderer.render([Message("user", "Look.", images=("data:image/png;base64,",))])


def _told(episode: Episode) -> list[Message]:
    return [message for turn in episode.turns for message in turn.messages_delta]
