"""One conversation at the counter: the database, the tools, the user, and how far it has come."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

from agentgym.core.task import Task
from agentgym.core.tool import ToolCall
from agentgym.environments.backoffice.desk import Desk, Refused
from agentgym.environments.backoffice.domains import DOMAINS
from agentgym.environments.backoffice.script import UNCHANGED, Changes, Script, changes
from agentgym.environments.backoffice.toolset import Toolset, reply
from agentgym.environments.backoffice.user import User


class Result(NamedTuple):
    """What came of a call."""

    text: str
    """The tool's result, or the message to the user."""
    valid: bool
    answer: str | None = None
    """What the user says to the message."""


class Counter:
    """A task being played."""

    def __init__(self, task: Task, script: Script) -> None:
        domain = DOMAINS[task.params["domain"]]
        easy = task.params["easy"]
        offered = [domain.tool[name] for name in domain.easy_tools] if easy else domain.tools
        needs = domain.easy_needs if easy else tuple(domain.need)
        policy = domain.policy(needs, task.params["rules"], general=not easy)
        self.task = task
        self.script = script
        self.policy = f"{domain.role} {policy}"
        self.tools = Toolset(offered, task.params["dialect"])
        self.reply_name = self.tools.translate(ToolCall(reply.name, {})).name
        self._saved, self._world = domain.world(task.params["world"])
        self._goal = script.goal
        self.desk = Desk()
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._content = self._world.content()
        self.desk.load(self._saved, self._content)
        self.user = User(self.script.stages)
        self.looked_up: set[str] = set()
        self._changed = UNCHANGED

    def call(self, call: ToolCall) -> Result:
        """Make a call, in the names that the task has for things."""
        try:
            own = self.tools.resolve(call)
            result = self.tools.run(self.desk, own)
        except Refused as refused:
            return Result(f"Error: {refused}", False)
        if own.name == reply.name:
            return Result(result, True, self.user.answer(result))
        self.looked_up.add(str(own))
        return Result(json.dumps(result, ensure_ascii=False), True)

    @property
    def changed(self) -> Changes:
        """What has changed in the database since the beginning."""
        content = self.desk.content()
        if content is not self._content:
            self._content, self._changed = content, changes(self._world.content(), content)
        return self._changed

    @property
    def success(self) -> bool:
        """Whether the database is as it should be in the end, and everything has been told."""
        return self.changed == self._goal and len(self.user.heard) == self.script.facts

    @property
    def progress(self) -> float:
        """The share of wanted changes, facts told and stages passed, where every change too many weighs like one that
        is missing; 1.0 exactly at success."""
        done = len(self.changed & self._goal) + len(self.user.heard) + self.user.stage
        return done / (len(self.changed | self._goal) + self.script.facts + len(self.script.stages))

    def key(self) -> str:
        """Return a hash of the state."""
        state = repr([self.task.key, sorted(self.changed, key=repr), self.user.save()])
        return hashlib.blake2b(state.encode(), digest_size=16).hexdigest()

    def save_talk(self) -> list[Any]:
        """Return where the user is and what has been looked up, as JSON data."""
        return [self.user.save(), sorted(self.looked_up)]

    def load_talk(self, saved: list[Any]) -> None:
        """Go to a saved place."""
        self.user.load(saved[0])
        self.looked_up = set(saved[1])
