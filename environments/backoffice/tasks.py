"""The suite: which tasks there are, and in which split each belongs."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, overload

from agentgym.core.errors import TaskError, UnknownNameError, did_you_mean
from agentgym.core.task import Split, Task
from agentgym.environments.backoffice.desk import Desk, Refused
from agentgym.environments.backoffice.domain import Domain, Rules, Slots
from agentgym.environments.backoffice.domains import DOMAINS, HELDOUT_DOMAIN
from agentgym.environments.backoffice.script import Script, ids_in, write_script

ENV_ID = "agentgym/Backoffice-v0"
VERSION = "1"

TASKS: dict[Split, int] = {Split.TRAIN: 2000, Split.SELECT: 200, Split.HELDOUT: 200}
"""Tasks of each difficulty; of the easy ones train has more."""
EASY_TO_TRAIN = 9000
WORLDS: dict[Split, range] = {
    Split.TRAIN: range(32),
    Split.SELECT: range(32, 36),
    Split.HELDOUT: range(36, 40),
}
"""The databases of each domain that the tasks of a split play in."""

_TRIES = 20
_SCRIPTS_KEPT = 1024


class Difficulty(StrEnum):
    """How much a task asks for."""

    EASY = "easy"
    """One simple need, told at once; a few tools and a short policy."""
    MEDIUM = "medium"
    """One need, told after a greeting; all tools and the whole policy."""
    HARD = "hard"
    """Three needs of one person, told one after another."""


class Group(StrEnum):
    """The parts of the held-out tasks."""

    SEEN = "seen"
    """New databases of the businesses that train knows."""
    POLICY = "policy"
    """Policies with figures that train never has."""
    TOOLS = "tools"
    """Tools whose names and arguments are called otherwise."""
    DOMAIN = "domain"
    """A business that train does not know."""


class BackofficeTasks(Sequence[Task]):
    """The tasks of one split, made when asked for. Difficulties, groups and domains take turns."""

    def __init__(self, split: Split, difficulties: Sequence[Difficulty], domains: Sequence[str]) -> None:
        self._split = split
        self._places = [
            (difficulty, number)
            for number in range(max(_count(split, difficulty) for difficulty in difficulties))
            for difficulty in difficulties
            if number < _count(split, difficulty) and _domain_of(split, number).name in domains
        ]

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return _task(self._split, *self._places[index])

    def find(self, task_id: str) -> Task | None:
        """Return the task with this id, or None where the sequence has no such task."""
        for difficulty, number in self._places:
            if task_id == _task_id(self._split, difficulty, number):
                return _task(self._split, difficulty, number)
        return None

    def ids(self) -> list[str]:
        """Return the ids of all tasks."""
        return [_task_id(self._split, *place) for place in self._places]


class BackofficeSuite:
    """Tasks of the back office, generated; see the world's README for what they are.

    `difficulty` is `easy`, `medium` or `hard`; `domains` are names of businesses. None takes all.
    """

    name = "backoffice"
    version = VERSION
    env_id = ENV_ID
    heldout_differs = (
        "All held-out tasks play in databases of their own; beyond that, in equal parts, nothing differs (`seen`), or "
        "the policy has figures that train never shows (`policy`), or all tools and arguments have other names "
        "(`tools`), or the business as a whole, with its tools and policy, is one that train does not have (`domain`)."
    )

    def __init__(self, difficulty: str | None = None, domains: Iterable[str] | None = None) -> None:
        difficulties = tuple(Difficulty) if difficulty is None else (_difficulty(difficulty),)
        chosen = tuple(DOMAINS) if domains is None else _names(domains)
        self._tasks = {split: BackofficeTasks(split, difficulties, chosen) for split in Split}
        self._scripts: OrderedDict[str, Script] = OrderedDict()

    def tasks(self, split: Split | str) -> BackofficeTasks:
        """Return the tasks of a split, in a fixed order that mixes difficulties, groups and domains."""
        return self._tasks[Split.parse(split)]

    def task(self, task_id: str) -> Task:
        """Return the task with this id, of any split; raises `TaskError` with a suggestion."""
        for tasks in self._tasks.values():
            found = tasks.find(task_id)
            if found is not None:
                return found
        similar = [each for tasks in self._tasks.values() for each in tasks.ids()]
        raise TaskError(
            f"Unknown task {task_id!r} of suite {self.name!r}.{did_you_mean(task_id, similar)} "
            f"Ids look like {similar[0]!r}; list them with `suite.tasks(split)`."
        )

    def script(self, task: Task) -> Script:
        """Return the script of a task, written at its first use; raises `TaskError` where it cannot be played."""
        if task.key in self._scripts:
            self._scripts.move_to_end(task.key)
            return self._scripts[task.key]
        try:
            written = write_script(DOMAINS[task.params["domain"]], task.params)
        except (Refused, KeyError, IndexError, TypeError, ValueError) as error:
            raise TaskError(
                f"The params of task {task.id!r} describe no task of {ENV_ID} ({error}); take one from its suite."
            ) from error
        self._scripts[task.key] = written
        if len(self._scripts) > _SCRIPTS_KEPT:
            self._scripts.popitem(last=False)
        return written


def _count(split: Split, difficulty: Difficulty) -> int:
    return EASY_TO_TRAIN if split is Split.TRAIN and difficulty is Difficulty.EASY else TASKS[split]


def _domain_of(split: Split, number: int) -> Domain:
    known = [domain for name, domain in DOMAINS.items() if name != HELDOUT_DOMAIN]
    if split is not Split.HELDOUT:
        return known[number % len(known)]
    groups = len(Group)
    if _group_of(split, number) is Group.DOMAIN:
        return DOMAINS[HELDOUT_DOMAIN]
    return known[number // groups % len(known)]


def _group_of(split: Split, number: int) -> Group | None:
    return list(Group)[number % len(Group)] if split is Split.HELDOUT else None


def _task_id(split: Split, difficulty: Difficulty, number: int) -> str:
    return f"{split.value}-{difficulty.value}-{number:04d}"


@lru_cache(maxsize=1 << 14)
def _task(split: Split, difficulty: Difficulty, number: int) -> Task:
    """Make the task of a number: draw its database, rules and needs."""
    name, domain, group = (
        _task_id(split, difficulty, number),
        _domain_of(split, number),
        _group_of(split, number),
    )
    rng = random.Random(f"backoffice {VERSION}: {name}")
    world = rng.choice(WORLDS[split])
    rules = {rule: rng.choice(figures[group is Group.POLICY]) for rule, figures in domain.rules.items()}
    needs = draw_needs(domain, domain.world(world)[1], difficulty, rng, rules)
    params: dict[str, Any] = {
        "task_type": f"{domain.name}-{needs[0][0]}" if difficulty is Difficulty.EASY else domain.name,
        "domain": domain.name,
        "world": world,
        "rules": rules,
        "dialect": "formal" if group is Group.TOOLS else "plain",
        "easy": difficulty is Difficulty.EASY,
        "needs": [[need, dict(slots)] for need, slots in needs],
    }
    group_name = group.value if group else ""
    return Task(name, ENV_ID, split, params=params, difficulty=difficulty.value, group=group_name)


def draw_needs(
    domain: Domain, world: Desk, difficulty: Difficulty, rng: random.Random, rules: Rules
) -> list[tuple[str, Slots]]:
    """Draw what a person wants: of different kinds, and about different things, so that no part undoes another."""
    names = domain.easy_needs if difficulty is Difficulty.EASY else tuple(domain.need)
    wanted = rng.sample(names, 3 if difficulty is Difficulty.HARD else 1)
    drawn: list[tuple[str, Slots]] = []
    ids: set[str] = set()
    for _ in range(_TRIES):
        need = domain.need[wanted[len(drawn)]]
        slots = need.draw(world, rng, str(drawn[0][1]["who"]) if drawn else "")
        if slots is None or ids & ids_in(slots):
            continue
        drawn.append((need.name, slots))
        ids |= ids_in(slots)
        if len(drawn) == len(wanted):
            return drawn
    return draw_needs(
        domain, world, difficulty, rng, rules
    )  # nobody wants all of that: somebody else, other needs


def _difficulty(name: str) -> Difficulty:
    try:
        return Difficulty(name)
    except ValueError:
        raise UnknownNameError("difficulty", str(name), [each.value for each in Difficulty]) from None


def _names(domains: Iterable[str]) -> tuple[str, ...]:
    chosen = (domains,) if isinstance(domains, str) else tuple(domains)
    for name in chosen or ("",):
        if name not in DOMAINS:
            raise UnknownNameError("domain", str(name), DOMAINS)
    return chosen
