"""A tiny policy improves through unmodified agents: what they do over HTTP is what it learns from.

In each task a lamp of some colour is on; pressing the button of that colour earns 1. At first the policy has
learned to press buttons, and to look at the lamp now and then, from what a guesser did through the same agent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import numpy as np
import openai
import pytest
from agents import Agent, OpenAIResponsesModel, RunConfig, Runner, function_tool
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from agentgym.agents.external import Assignment, Verdict
from agentgym.core.policy import GenerationRequest, Policy, Sampling
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.rollout.collect import plan_groups
from agentgym.serving.gateway import Gateway
from agentgym.serving.play import play_external
from agentgym.training.advantages.group import GroupMean
from agentgym.training.learner import Learner
from agentgym.training.losses.objective import Objective
from agentgym.training.losses.regularisers import Kl
from agentgym.training.recipe import OptimiserSection, WarmStartSection
from agentgym.training.schedules.base import Simultaneous
from agentgym.training.turns import TurnTable
from agentgym.training.update import Update
from agentgym.training.warm_start import warm_start
from tests.serving.desk import PRESS, Scripted, press

COLOURS = ("red", "green", "blue", "pink")
TASKS = [Task(colour, "test/Lamps-v0", Split.TRAIN, params={"colour": colour}) for colour in COLOURS]
HINTED = 0.3
"""How often the guesser looks at the lamp."""
OPENING = "The {} lamp is on."
Player = Callable[[Assignment, openai.AsyncOpenAI, list[str]], Awaitable[object]]


async def openai_loop(assignment: Assignment, api: openai.AsyncOpenAI, pressed: list[str]) -> None:
    """The `openai` client and the loop everybody writes."""
    tools: list[Any] = [PRESS]
    messages: list[Any] = [{"role": "user", "content": OPENING.format(assignment.task.params["colour"])}]
    for _ in range(3):
        answer = await api.chat.completions.create(model=assignment.model, messages=messages, tools=tools)
        message = answer.choices[0].message
        if not message.tool_calls:
            return
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            assert call.type == "function"
            pressed.append(str(json.loads(call.function.arguments).get("colour")))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "Pressed."})


async def agents_sdk(assignment: Assignment, api: openai.AsyncOpenAI, pressed: list[str]) -> object:
    """The OpenAI Agents SDK, by the responses API."""

    @function_tool
    def press(colour: str) -> str:
        """Press a button."""
        pressed.append(colour)
        return "Pressed."

    model = OpenAIResponsesModel(model=assignment.model, openai_client=api)
    agent: Agent[None] = Agent(name="presser", model=model, tools=[press])
    opening = OPENING.format(assignment.task.params["colour"])
    return await Runner.run(agent, opening, max_turns=3, run_config=RunConfig(tracing_disabled=True))


async def pydantic_ai(assignment: Assignment, api: openai.AsyncOpenAI, pressed: list[str]) -> object:
    """Pydantic AI, by chat completions."""
    agent = PydanticAgent(OpenAIChatModel(assignment.model, provider=OpenAIProvider(openai_client=api)))

    @agent.tool_plain
    def press(colour: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """Press a button."""
        pressed.append(colour)
        return "Pressed."

    return await agent.run(OPENING.format(assignment.task.params["colour"]))


class Collector:
    """Plays groups of all tasks with an agent, over one set of connections."""

    def __init__(self, player: Player, http: httpx2.AsyncClient) -> None:
        self._player = player
        self._http = http

    async def play(self, gateway: Gateway, members: int, label: str) -> list[Episode]:
        plans = plan_groups(TASKS, members, label=label, seed=0)
        return await play_external(plans, self._episode, gateway, concurrency=32, timeout_s=60)

    async def _episode(self, assignment: Assignment) -> Verdict:
        pressed: list[str] = []
        api = openai.AsyncOpenAI(
            base_url=assignment.base_url, api_key=assignment.token, http_client=self._http, max_retries=0
        )
        await self._player(assignment, api, pressed)
        return Verdict(float(pressed == [assignment.task.params["colour"]]))


def guesser(tokenizer: Any) -> Policy:
    """Presses any button and stops."""
    random = np.random.default_rng(0)

    def guess(request: GenerationRequest) -> str:
        if request.messages[-1].role == "tool":
            return "Done."
        if random.random() < HINTED:
            return press(str(request.messages[-1].content).split()[1])
        return press(COLOURS[int(random.integers(len(COLOURS)))])

    return Scripted(guess, tokenizer)


async def train(player: Player, iterations: int) -> tuple[float, float]:
    """Return the success before and after."""
    texts = [text for colour in COLOURS for text in (OPENING.format(colour), press(colour))]
    tokenizer = train_tokenizer([*texts, json.dumps(PRESS), "Pressed.", "Done."] * 4, 420)
    sizes = ModelConfig(hidden_size=128, layers=2, heads=2, kv_heads=1, head_dim=32, mlp_size=256)
    model = make_model(sizes, tokenizer, device="cpu")
    async with AsyncExitStack() as stack:
        collector = Collector(player, await stack.enter_async_context(httpx2.AsyncClient()))
        async with Gateway(guesser(tokenizer)) as gateway:
            guesses = await collector.play(gateway, 12, "guesses")
        warm_start(model, guesses, WarmStartSection(epochs=24, lr=3e-3, tokens_per_step=512), seed=0)
        policy = LocalPolicy(model, tokenizer)
        gateway = await stack.enter_async_context(Gateway(policy, sampling=Sampling(max_tokens=40)))
        before = await collector.play(gateway, 16, "before")
        close = Objective(
            regularisers=(Kl(coefficient=0.1),)
        )  # one token of a call is the choice, the rest form
        update = Update(close, Simultaneous(epochs=2, minibatches=2))
        learner = Learner(model, OptimiserSection(lr=7e-4), update)
        advantage = GroupMean(std=True)
        for iteration in range(iterations):
            episodes = [
                episode
                for episode in await collector.play(gateway, 16, f"train-{iteration}")
                if episode.outcome.scored
            ]
            turns = TurnTable.from_episodes(episodes)
            learner.learn(episodes, turns, advantage(turns))
            policy.set_version(learner.iteration)
        after = await collector.play(gateway, 16, "after")
    return success(before), success(after)


def success(episodes: list[Episode]) -> float:
    return float(np.mean([episode.success for episode in episodes]))


@pytest.mark.slow
@pytest.mark.parametrize("player", [openai_loop, agents_sdk, pydantic_ai], ids=lambda player: player.__name__)
def test_a_policy_improves_through_an_agent_that_knows_nothing_of_it(player: Player) -> None:
    before, after = asyncio.run(train(player, 8))
    assert 0.1 < before < 0.5, (before, after)
    assert after > before + 0.3, (before, after)
