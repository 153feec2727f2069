"""A language model as a model of an environment, behind any policy: an endpoint, or one in this process."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Sequence
from typing import Any, cast

from agentgym.core.asking import ask_once
from agentgym.core.env import Stepping
from agentgym.core.errors import InferenceFault
from agentgym.core.message import Message
from agentgym.core.policy import GenerationRequest, Policy, Sampling
from agentgym.training.imagination.buffer import ReplayBuffer, Transition
from agentgym.training.imagination.model import Consequence, Moment

ATTEMPTS = 3
"""Answers to one question; where none is in the form asked for, the model has failed."""
EXAMPLES = 4
"""Transitions of the buffer that the model is shown, the most similar ones."""
SHOWN_STEPS = 20
"""Of the history, the latest."""
REQUEST = (
    "You are the world in which an agent acts. Below are things that really happened in this world, then an episode that "
    "is under way. Say what the agent's action leads to, as this world would: it changes nothing unless the rules of the "
    "world make it possible, and what was said before stays true. The reward is 1 only at the step that fulfils the goal, "
    "else 0. Answer with JSON alone: "
    '{"reasoning": "why", "observation": "what the world says", "valid": whether the action could be done, '
    '"success": whether the goal is now fulfilled}'
)


class Speaker:
    """Asks a policy from ordinary code, in any thread, on an event loop of its own."""

    def __init__(self, policy: Policy, *, max_tokens: int = 400, temperature: float = 0.0) -> None:
        self._policy = policy
        self._sampling = Sampling(temperature, max_tokens=max_tokens)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._asked = 0

    def ask(self, prompt: str, seed: int) -> str:
        """Return the policy's answer; raises `InferenceFault`. Blocks the thread that calls."""
        with self._lock:
            self._asked += 1
            session = f"imagination-{self._asked}"
            loop = self._running()
        return asyncio.run_coroutine_threadsafe(self._answer(session, prompt, seed), loop).result()

    def close(self) -> None:
        """End the loop."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_run, args=(self._loop,), name="imagination", daemon=True).start()
        return self._loop

    async def _answer(self, session: str, prompt: str, seed: int) -> str:
        request = GenerationRequest(session, [Message("user", prompt)], self._sampling, seed)
        completion = await ask_once(self._policy, request)
        return completion.text


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


class AskedModel:
    """Asks a language model, with the most similar transitions of a buffer as examples; see `ExperienceModel`.

    DreamGym's M_exp: history, goal and the top-k of the buffer give a reasoning, the next observation and a reward. Here
    the model is whichever is behind the speaker, as it is; the reward follows from `success`.
    """

    stepping = Stepping.THREAD

    def __init__(self, speaker: Speaker, buffer: ReplayBuffer, *, examples: int = EXAMPLES) -> None:
        self._speaker = speaker
        self._buffer = buffer
        self._examples = examples

    def predict(self, moment: Moment, seed: int) -> Consequence:
        """Return what the model says. Raises `InferenceFault` where no answer is in the form asked for."""
        prompt = question(moment, self._buffer.similar(moment, self._examples))
        answer = ""
        for attempt in range(ATTEMPTS):
            answer = self._speaker.ask(prompt, seed + attempt)
            told = read_consequence(answer)
            if told is not None:
                return told
        raise InferenceFault(
            f"The model of the environment answered {ATTEMPTS} times in another form than was asked for, the last time "
            f"{answer!r:.200}. Ask a model that follows instructions, or use the imagination 'counted'."
        )


def question(moment: Moment, examples: Sequence[Transition]) -> str:
    """Return what the model is asked about a moment."""
    shown = [
        f"The agent saw: {each.moment.observation}\nIt did: {each.moment.action}\n"
        f"The world: {_form(each.consequence)}"
        for each in examples
    ]
    steps = [
        f"The agent saw: {step.observation}\nIt did: {step.action}" for step in moment.history[-SHOWN_STEPS:]
    ]
    return "\n\n".join(
        [
            REQUEST,
            *shown,
            f"The episode. Goal: {moment.goal}",
            *steps,
            f"The agent saw: {moment.observation}\nIt now does: {moment.action}",
        ]
    )


def read_consequence(answer: str) -> Consequence | None:
    """Read a model's answer; None where it is not in the form asked for.

    >>> read_consequence('{"reasoning": "It is shut.", "observation": "Done.", "valid": true, "success": true}').reward
    1.0
    >>> read_consequence("You open the fridge.") is None
    True
    """
    data = read_object(answer)
    observation, valid, success = (data.get(name) for name in ("observation", "valid", "success"))
    if not (isinstance(observation, str) and isinstance(valid, bool) and isinstance(success, bool)):
        return None
    won = valid and success  # what cannot be done fulfils nothing
    return Consequence(observation, float(won), won, won, valid)


def read_object(answer: str) -> dict[str, Any]:
    """Return the JSON object in an answer; an empty one where there is none."""
    found = re.search(r"\{.*\}", answer, re.DOTALL)
    try:
        data: object = json.loads(found[0]) if found else {}
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def _form(consequence: Consequence) -> str:
    told = {
        "observation": consequence.observation,
        "valid": consequence.valid,
        "success": consequence.success,
    }
    return json.dumps(told, ensure_ascii=False)
