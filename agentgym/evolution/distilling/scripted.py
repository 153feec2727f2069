"""`ScriptedEvolver`: skills and tools from episodes, by rules; the same for the same episodes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agentgym.agents.follower.procedure import TASKS, Procedure
from agentgym.core.env import AgentEnv
from agentgym.core.memory import (
    ItemKind,
    ItemOrigin,
    Link,
    MemoryItem,
    Provenance,
    Relation,
    Source,
)
from agentgym.core.task import Split
from agentgym.core.trace import Episode
from agentgym.evolution.distilling.lessons import Lesson, Replayer
from agentgym.evolution.distilling.places import places_tool
from agentgym.evolution.distilling.ways import Findings, Written
from agentgym.evolution.proposing import Distilled, Proposal
from agentgym.memory.skills.document import MAX_DESCRIPTION, MAX_NAME

NAME = "scripted"
SUPPORT = 2
"""Tasks that have to be solved the same way before it is written down."""


class ScriptedEvolver:
    """Finds the sub-goals that solve tasks of a kind, what has to come before them, and on what it depends.

    A success is replayed without each of its actions (`lessons`), so it needs an environment that can be made here and
    does the same again. What comes of it is a skill for each sequence of sub-goals, with a procedure for every kind of
    wish that it was seen to solve; and a tool that says where to look first, where things have places.
    """

    def __init__(
        self,
        make_env: Callable[[], AgentEnv],
        *,
        space: str = "",
        support: int = SUPPORT,
        tools: bool = True,
    ) -> None:
        """Learn from episodes of the environment that `make_env` makes; without `tools` it writes skills alone."""
        self._make_env = make_env
        self._replayer: Replayer | None = None
        self._space = space
        self._support = support
        self._tools = tools

    @property
    def name(self) -> str:
        """`scripted`."""
        return NAME

    async def distil(
        self, episodes: Sequence[Episode], notes: Sequence[Mapping[str, Any]], run: str
    ) -> Distilled:
        """Return the skills that all lessons so far call for, and this batch's lessons as notes."""
        return await asyncio.to_thread(self._distil, episodes, notes, run)

    def close(self) -> None:
        """Close the environment that replays."""
        if self._replayer is not None:
            self._replayer.close()
            self._replayer = None

    def _distil(self, episodes: Sequence[Episode], notes: Sequence[Mapping[str, Any]], run: str) -> Distilled:
        if self._replayer is None:
            self._replayer = Replayer(self._make_env)
        fresh = [self._replayer.lesson(episode, run) for episode in episodes if episode.outcome.scored]
        lessons = [*map(Lesson.from_json, notes), *fresh]
        findings = Findings(lessons)
        proposals = skills_of(findings, self._support, self._space)
        tool = places_tool(lessons, findings.preparing, self._space) if self._tools else None
        if tool is not None:
            proposals.append(Proposal(tool[0], provenance_of(tool[1])))
        return Distilled(tuple(proposals), tuple(lesson.to_json() for lesson in fresh))


def skills_of(findings: Findings, support: int, space: str = "") -> list[Proposal]:
    """Return a skill for each sequence of sub-goals by which at least `support` tasks were solved."""
    by_name: defaultdict[str, list[Written]] = defaultdict(list)
    for kind in findings.tasks:
        written = findings.write(kind, support)
        if written is not None:
            by_name[_name(written.procedure)].append(written)
    return [
        _skill(name, own, space)
        for name, own in sorted(by_name.items())
        if len({lesson.task_key for written in own for lesson in written.lessons}) >= support
    ]


def provenance_of(lessons: Iterable[Lesson]) -> Provenance:
    """Return where an item comes from that was made from lessons, all of the split `train`."""
    known = {lesson.episode: lesson for lesson in lessons}
    sources = [Source(name, known[name].task_key, Split.TRAIN) for name in sorted(known)]
    shown = sorted({version for lesson in known.values() for version in lesson.shown})
    links = tuple(Link(Relation.CONTEXT, version) for version in shown)
    return Provenance(ItemOrigin.EVOLVED, NAME, tuple(sources), links)


def _skill(name: str, written: Sequence[Written], space: str) -> Proposal:
    """Return a skill that holds the procedures, those with the same steps as one with several triggers."""
    by_steps: defaultdict[tuple[str, ...], list[Procedure]] = defaultdict(list)
    for each in written:
        by_steps[tuple(map(str, each.procedure.steps))].append(each.procedure)
    procedures = [
        Procedure(tuple(sorted({t for each in own for t in each.triggers}, key=str)), own[0].steps)
        for _, own in sorted(by_steps.items())
    ]
    triggers = [str(trigger) for procedure in procedures for trigger in procedure.triggers]
    item = MemoryItem(
        ItemKind.SKILL,
        name,
        "\n".join([TASKS, *triggers])[:MAX_DESCRIPTION],
        "\n\n".join(map(str, procedures)),
        space=space,
        env_id=written[0].lessons[0].env_id,
    )
    return Proposal(item, provenance_of(lesson for each in written for lesson in each.lessons))


def _name(procedure: Procedure) -> str:
    """Return the heads of a procedure's steps as the name of a skill.

    >>> from agentgym.agents.follower.procedure import read_procedures
    >>> _name(read_procedures('When the task reads: Buy {x}\\nSteps:\\n1. find_item({"name": "{x}"})\\n2. pay({})')[0])
    'find-item-pay'
    """
    heads = [str(step.action).partition("(")[0].partition(" ")[0] for step in procedure.steps]
    return "-".join(heads).replace("_", "-").lower()[:MAX_NAME].strip("-")
