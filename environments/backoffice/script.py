"""A task as it is played: the stages of its conversation, and what an expert makes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

from agentgym.core.tool import ToolCall
from agentgym.environments.backoffice.desk import Content, Desk
from agentgym.environments.backoffice.domain import Domain, Slots, Stage

Change: TypeAlias = tuple[str, str, tuple[Any, ...]]
"""A row that was added or is gone: which of the two, its table, its values."""
Changes: TypeAlias = frozenset[Change]
UNCHANGED: Changes = frozenset()

_ID = re.compile(r"[A-Z]\d+")


def changes(before: Content, after: Content) -> Changes:
    """Return which rows are there and were not, and the other way round."""
    return frozenset(("added", *row) for row in after - before) | frozenset(
        ("gone", *row) for row in before - after
    )


class Step(NamedTuple):
    """A call of the expert."""

    stage: int
    call: ToolCall
    after: Changes | None
    """Everything that has changed when it is done; None where it only looks something up."""


@dataclass(frozen=True, slots=True)
class Script:
    """The stages, and the expert's way through them."""

    stages: tuple[Stage, ...]
    steps: tuple[Step, ...]

    @property
    def goal(self) -> Changes:
        """What is to be changed in the end."""
        return next((step.after for step in reversed(self.steps) if step.after is not None), UNCHANGED)

    @property
    def facts(self) -> int:
        """How many facts are to be told."""
        return sum(len(stage.tells) for stage in self.stages)


def write_script(domain: Domain, params: Mapping[str, Any]) -> Script:
    """Return the script of a task; raises `Refused` or `KeyError` for one that its domain cannot play."""
    saved, world = domain.world(params["world"])
    stages = write_stages(domain, world, params)
    desk = Desk()
    desk.load(saved, world.content())
    done = UNCHANGED
    steps: list[Step] = []
    for number, stage in enumerate(stages):
        for call in stage.calls:
            domain.tool[call.name].run(desk, **call.arguments)
            now = changes(world.content(), desk.content())
            steps.append(Step(number, call, now if now != done else None))
            done = now
    desk.close()
    return Script(stages, tuple(steps))


def write_stages(domain: Domain, world: Desk, params: Mapping[str, Any]) -> tuple[Stage, ...]:
    """Return the conversation of a task: one need right away, or several after a greeting, one by one."""
    needs: Sequence[tuple[str, Slots]] = params["needs"]
    plans = [domain.need[name].plan(world, slots, params["rules"]) for name, slots in needs]
    if params["easy"]:
        return plans[0]
    says, look = domain.introduce(world, needs[0][1])
    first, *others = plans[0]
    opened = replace(first, says=f"{says} {first.says}", calls=(*look, *first.calls))
    stages = [Stage("Hello, I need your help."), opened, *others]
    for plan in plans[1:]:
        stages += [replace(plan[0], says=f"One more thing. {plan[0].says}"), *plan[1:]]
    return tuple(stages)


def ids_in(slots: Slots) -> set[str]:
    """Return the ids that a need is about, but who asks."""
    return {
        value
        for name, value in slots.items()
        if name != "who" and isinstance(value, str) and _ID.fullmatch(value)
    }
