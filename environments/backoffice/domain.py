"""What a business is made of: a database, tools, rules, and what people want of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

from agentgym.core.tool import ToolCall
from agentgym.environments.backoffice.desk import Desk, Row
from agentgym.environments.backoffice.toolbox import Tool

Rules: TypeAlias = Mapping[str, int]
"""The figures of a policy, such as `return_days`."""
Slots: TypeAlias = Mapping[str, Any]
"""What one need is about: ids and values, JSON data."""

WORLDS_KEPT = 160


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the conversation: what the user says, what is to be done about it, and what is to be told."""

    says: str
    calls: tuple[ToolCall, ...] = ()
    """What an expert calls, in its order; what changes nothing is there for looking things up."""
    tells: Mapping[str, str] = field(default_factory=dict[str, str])
    """Facts that the user has to be told before going on, by what they are."""


def call(name: str, **arguments: Any) -> ToolCall:
    """Return a call, as plans write them."""
    return ToolCall(name, arguments)


def pick(desk: Desk, rng: random.Random, query: str, column: str, who: str) -> Row | None:
    """Return one of the rows that a query finds, where there is any whose `column` names the person (`""`: any row)."""
    rows = [row for row in desk.rows(query) if who in ("", row[column])]
    return rng.choice(rows) if rows else None


@dataclass(frozen=True, slots=True)
class Need:
    """A kind of request.

    `draw` picks what one is about that fits a person (`""`: whomever), or returns None where there is nothing; `plan` says what then is
    said, done and told. Slots hold `who`, the id of the person who asks.
    """

    name: str
    policy: str
    """What the policy says about it, with the rules' names in braces."""
    draw: Callable[[Desk, random.Random, str], Slots | None]
    plan: Callable[[Desk, Slots, Rules], tuple[Stage, ...]]


@dataclass(frozen=True, eq=False)
class Domain:
    """A business."""

    name: str
    role: str
    """Who the agent is."""
    general: str
    """What the policy says whatever is asked for, with the rules' names in braces."""
    rules: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    """Of each rule the figures it has in train and select, and others that are for held-out tasks."""
    schema: str
    fill: Callable[[Desk, random.Random], None]
    tools: tuple[Tool, ...]
    needs: tuple[Need, ...]
    easy_needs: tuple[str, ...]
    easy_tools: tuple[str, ...]
    """What is offered for them."""
    introduce: Callable[[Desk, Slots], tuple[str, tuple[ToolCall, ...]]]
    """How a person says who they are, and the calls by which an expert looks them up."""

    @cached_property
    def tool(self) -> Mapping[str, Tool]:
        """The tools by name."""
        return {each.name: each for each in self.tools}

    @cached_property
    def need(self) -> Mapping[str, Need]:
        """The needs by name."""
        return {each.name: each for each in self.needs}

    def policy(self, needs: tuple[str, ...], rules: Rules, *, general: bool = True) -> str:
        """Return the policy as far as it is about some needs."""
        parts = [self.general] if general else []
        return " ".join([*parts, *(self.need[name].policy for name in needs)]).format(**rules)

    @lru_cache(maxsize=WORLDS_KEPT)  # noqa: B019 - there are four domains, and they live as long as the process
    def world(self, number: int) -> tuple[bytes, Desk]:
        """Return the database of a number: as bytes to begin from, and open, to be read and never written."""
        desk = Desk(self.schema)
        desk.begin()
        self.fill(desk, random.Random(f"backoffice {self.name} {number}"))
        desk.commit()
        saved = desk.save()
        desk.run("PRAGMA query_only = ON")
        return saved, desk
