"""`PolicyEvolver`: asks a language model what is to be learned from groups of episodes, as skills and tools."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from agentgym.core.asking import Questions
from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemKind, MemoryItem, Provenance
from agentgym.core.policy import Policy, Sampling
from agentgym.core.tool import ToolSpec
from agentgym.core.trace import Episode
from agentgym.evolution.proposing import Distilled, Proposal
from agentgym.memory.skills.document import check_name
from agentgym.memory.tools.document import tool_item
from agentgym.memory.transcripts import Transcript

GROUPS = 8
"""Groups of a batch that are asked about."""

_log = logging.getLogger(__name__)

_QUESTION = """\
Below are episodes in which an agent tried one task. Write down what would help with other tasks of the kind.

A skill is a procedure in steps, with variables for what differs from task to task. A tool is a Python function
`run(args: dict) -> dict` that uses the standard library alone, without network, and has tests: programs that import
`run` from `tool` and end with an error where it does wrong. Write a tool only for what is worth computing. Name no
object, id or number that only this task has, and nothing that the episodes do not show.

Answer with JSON alone, empty lists where there is nothing to learn:
{"skills": [{"name": "lower-case-with-hyphens", "description": "for which tasks", "body": "steps"}],
 "tools": [{"name": "lower-case-with-hyphens", "description": "what it does", "inputSchema": {"type": "object", ...},
 "code": "def run(args): ...", "tests": {"test_tool.py": "from tool import run ..."}}]}"""


class PolicyEvolver:
    """Shows a policy one success and one failure of a task, where there are both, and reads what it writes.

    What is no skill or tool in what it answers is left out, and said in the log; whether the rest helps is for the
    gate to find out.
    """

    def __init__(
        self, policy: Policy, *, name: str, space: str = "", max_tokens: int = 1500, groups: int = GROUPS
    ) -> None:
        self._name = name
        self._space = space
        self._questions = Questions(
            policy, f"evolve-{name}", Sampling(temperature=0.0, max_tokens=max_tokens)
        )
        self._groups = groups

    @property
    def name(self) -> str:
        """As it was given."""
        return self._name

    async def distil(
        self, episodes: Sequence[Episode], notes: Sequence[Mapping[str, Any]], run: str
    ) -> Distilled:
        """Return what the policy writes of the groups that say most; raises `InferenceFault` where it does not answer."""
        proposals: list[Proposal] = []
        for chosen in telling(episodes)[: self._groups]:
            provenance = Provenance.of(*chosen, run=run, author=self._name)
            shown = "\n\n".join(
                f"Episode ({'solved' if episode.success else 'not solved'}):\n{Transcript.of(episode)}"
                for episode in chosen
            )
            answer = await self._questions.ask(f"{_QUESTION}\n\n{shown}")
            items = read_items(answer, env_id=chosen[0].task.env_id, space=self._space)
            proposals += [Proposal(item, provenance) for item in items]
        return Distilled(tuple(proposals))

    def close(self) -> None:
        """The policy is the caller's."""


def telling(episodes: Sequence[Episode]) -> list[list[Episode]]:
    """Return one success and one failure of each task, those that have both first; tasks never solved are left out."""
    groups: dict[str, list[Episode]] = {}
    for episode in episodes:
        if episode.outcome.scored and episode.turns:
            groups.setdefault(episode.group_id, []).append(episode)
    found: list[list[Episode]] = []
    for own in groups.values():
        good = [episode for episode in own if episode.success]
        bad = [episode for episode in own if not episode.success]
        if good:
            found.append([min(good, key=lambda each: len(each.turns)), *bad[:1]])
    return sorted(found, key=lambda chosen: -len(chosen))


def read_items(answer: str, *, env_id: str, space: str = "") -> list[MemoryItem]:
    """Return the skills and tools in a model's answer; what is none is left out.

    >>> read_items('{"skills": [{"name": "look", "description": "where to look", "body": "1. look"}]}', env_id="e")[0].name
    'look'
    """
    found = re.search(r"\{.*\}", answer, re.DOTALL)
    try:
        data: Any = json.loads(found[0]) if found else {}
    except (ValueError, RecursionError):
        _log.info("No JSON in the answer %.200r.", answer)
        return []
    items: list[MemoryItem] = []
    for kind, entry in _entries(data):
        try:
            items.append(_skill(entry, env_id, space) if kind == "skills" else _tool(entry, env_id, space))
        except (UsageError, KeyError, TypeError) as error:
            _log.info("No %s: %s.", kind.removesuffix("s"), error)
    return items


def _entries(data: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("skills", "tools"):
        listed: Any = cast("dict[str, Any]", data).get(kind) if isinstance(data, dict) else None
        for entry in cast("list[Any]", listed) if isinstance(listed, list) else []:
            if isinstance(entry, dict):
                yield kind, cast("dict[str, Any]", entry)


def _skill(entry: Mapping[str, Any], env_id: str, space: str) -> MemoryItem:
    name, description, body = (_text(entry, key) for key in ("name", "description", "body"))
    check_name(name)
    return MemoryItem(ItemKind.SKILL, name, description, body, space=space, env_id=env_id)


def _tool(entry: Mapping[str, Any], env_id: str, space: str) -> MemoryItem:
    spec = ToolSpec(_text(entry, "name"), _text(entry, "description"), entry["inputSchema"])
    tests = {str(name): str(text) for name, text in dict(entry.get("tests") or {}).items()}
    return tool_item(spec, _text(entry, "code"), tests, space=space, env_id=env_id)


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry[key]
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{key} is no text: {value!r:.60}")
    return value
