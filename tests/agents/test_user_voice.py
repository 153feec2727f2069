"""A served model speaks for the user, and what it must not change stays."""

from __future__ import annotations

from typing import Any

import agentgym
from agentgym.agents.user_voice import ModelVoice
from agentgym.core.env import AgentEnv
from agentgym.policies.endpoint import EndpointPolicy, EndpointSettings
from tests.policies.chat_api import ChatApi

TASK = "select-easy-0001"


def script_of() -> str:
    env = agentgym.make("backoffice", "select")
    return env.reset(options={"task": TASK})[0].rpartition("User: ")[2]


def voiced(api: ChatApi) -> AgentEnv:
    policy = EndpointPolicy(EndpointSettings(url=api.url, api_key_env="NO_SUCH_KEY"))
    return agentgym.make("backoffice", "select", voice=ModelVoice(policy, seed=3))


def test_the_model_is_told_the_line_and_the_conversation_and_the_task_stays_the_same() -> None:
    def rephrase(body: dict[str, Any]) -> str:
        return f"Hm, {body['messages'][-1]['content'].rpartition(chr(10))[2]}"

    with ChatApi(rephrase) as api:
        env = voiced(api)
        opening, info = env.reset(options={"task": TASK})
        assert opening.endswith(f"User: Hm, {script_of()}")
        observation = opening
        while not info["success"]:
            observation, _, _, _, info = env.step(env.oracle())
        assert observation == "User: Hm, Thank you, that is all."
        told = api.chats[-1]["messages"][-1]["content"]
    assert f"You: Hm, {script_of()}\nDesk: " in told
    assert "keep every name, number, id" in api.chats[0]["messages"][0]["content"].lower()


def test_a_model_that_changes_what_is_wanted_is_not_listened_to() -> None:
    with ChatApi(lambda _: "I want 1000 of everything.") as api:
        env = voiced(api)
        assert env.reset(options={"task": TASK})[0].endswith(f"User: {script_of()}")
