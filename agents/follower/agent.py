"""`FollowerAgent`: acts without a model, worse without a memory than with one that knows the task."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, cast

from agentgym.agents.follower.acts import take_apart
from agentgym.agents.follower.explorer import Explorer, cast_to
from agentgym.agents.follower.knowledge import Knowledge
from agentgym.agents.follower.procedure import ANY, Step, read_procedures, wish_of
from agentgym.agents.follower.searching import Searcher
from agentgym.agents.remembering import Remembrance
from agentgym.core.agent import Decision, EpisodeStart
from agentgym.core.env import Action
from agentgym.core.errors import UsageError
from agentgym.core.memory import Memory
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Versions

NAME = "scripted"


class FollowerAgent:
    """Tries things out at random; where it is shown a procedure whose trigger its task fits, it follows it.

    It reads nothing but what the world and its memory show it, and never asks the expert. Worlds that take text need
    to say what is possible (`admissible_actions`). Equal seeds, equal memory: equal episodes.
    """

    def __init__(self, memory: Memory | None = None) -> None:
        self._memory = memory

    @property
    def name(self) -> str:
        """`scripted`."""
        return NAME

    def start(self, start: EpisodeStart) -> FollowerSession:
        """Begin an episode; its seed decides what is tried."""
        return FollowerSession(start, Remembrance(self._memory, start))


class FollowerSession:
    """One episode of a follower."""

    def __init__(self, start: EpisodeStart, notes: Remembrance) -> None:
        self._start = start
        self._notes = notes
        self._rng = random.Random(start.seed)
        self._explorer = Explorer(self._rng)
        self._knows = Knowledge()
        self._searcher: Searcher | None = None
        self._steps: list[Step] = []
        self._tried: set[str] = set()
        """What was done towards the step that is next."""
        self._wish = ""
        self._possible: frozenset[str] = frozenset()
        """What was possible at the turn before."""

    @property
    def versions(self) -> Versions:
        """Which state of its memory the episode is played with."""
        return self._notes.versions

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        """Take in the observation and do the next step, or try something."""
        told: str = observation if isinstance(observation, str) else observation["text"]
        if not self._wish:
            await self._begin(told)
        self._knows.observe(told)
        commands = cast("Sequence[Action]", info.get("admissible_actions", ()))
        if self._start.env.tools:
            action: Action = self._next_call() or self._explorer.call(
                self._start.env.tools, self._wish, self._knows.fields
            )
        elif commands:
            texts = [str(command) for command in commands]
            action = await self._next_command(texts) or self._explorer.command(texts, self._wish)
            self._possible = frozenset(texts)
        else:
            raise UsageError(
                f"{self._start.task.env_id} neither offers tools nor says what is possible; the scripted agent needs "
                "one of the two. Play it with a model: --model URL."
            )
        news = self._notes.news()
        return Decision(action, shown_items=news.shown, withheld_items=news.withheld)

    def close(self) -> None:
        """Nothing is held."""

    async def _begin(self, told: str) -> None:
        self._wish = wish_of(told)
        shown = (await self._notes.before(told)).removesuffix(told)
        self._searcher = Searcher(self._notes, shown)
        for procedure in read_procedures(shown):
            words = procedure.bind(self._wish)
            if words is not None:
                self._knows.bind(words)
                self._steps = list(procedure.steps)
                return

    async def _next_command(self, actions: Sequence[str]) -> str | None:
        """Return the next step where it is possible, else what may make it so; None where nothing is left to do."""
        self._skip()
        if not self._steps:
            return None
        step = self._steps[0]
        if possible := self._knows.matching(step.action, actions):
            chosen = possible[0]
            self._knows.settle(step.action, chosen)
            self._steps.pop(0)
            self._tried.clear()
            if self._searcher:
                self._searcher.forget()
            return chosen
        return await self._towards(step, actions)

    async def _towards(self, step: Step, actions: Sequence[str]) -> str | None:
        """Return something that was not tried yet for this step: what has just become possible, what is needed last."""
        fresh = [
            [each for each in self._knows.matching(template, actions) if each not in self._tried]
            for template in reversed(step.before)
        ]
        news = [[each for each in choice if each not in self._possible] for choice in fresh]
        choice = next((choice for choice in [*news, *fresh] if choice), None)
        if choice is None:
            self._tried.clear()
            return None
        chosen = await self._choice(step, choice)
        self._tried.add(chosen)
        return chosen

    async def _choice(self, step: Step, actions: Sequence[str]) -> str:
        """Return one of several actions: the best by the memory's tool where they differ in a place, else any."""
        places = [take_apart(action).values for action in actions]
        things = [self._knows.word(term) for term in step.action.terms if not term.startswith(ANY)]
        if self._searcher and things and len(actions) > 1 and all(len(each) == 1 for each in places):
            best = await self._searcher.best(things[0], [place for (place,) in places])
            if best is not None:
                return actions[best]
        return self._rng.choice(actions)

    def _next_call(self) -> ToolCall | None:
        while self._steps:
            self._skip()
            if not self._steps:
                return None
            step = self._steps.pop(0)
            anything = [self._knows.fields[name] for name in sorted(self._knows.fields)] or ["done"]
            text = self._knows.filled(step.action, anything)
            if text is not None and (call := self._read_call(text)) is not None:
                return call
        return None

    def _skip(self) -> None:
        """Leave out the steps whose condition does not hold."""
        while self._steps and not self._knows.holds(self._steps[0].condition):
            self._steps.pop(0)

    def _read_call(self, text: str) -> ToolCall | None:
        """Return a call as it is written, with the types that its tool wants; None where there is no such tool."""
        name, _, rest = text.partition("(")
        tool = next((tool for tool in self._start.env.tools if tool.name == name), None)
        try:
            arguments: Any = json.loads(rest.removesuffix(")"))
        except ValueError:
            return None
        if tool is None or not isinstance(arguments, dict):
            return None
        schemas: Mapping[str, Any] = tool.input_schema.get("properties", {})
        given = cast("dict[str, Any]", arguments)
        return ToolCall(
            name, {key: cast_to(schemas.get(key, {}), str(value)) for key, value in given.items()}
        )
