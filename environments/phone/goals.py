"""What a task asks for: how the phone's tables should look, what should be answered, and what has to be read for it.

The validator compares tables by content: what is asked for must be there, and nothing else may have changed. What is
still missing tells the expert what to do, including what a mistake has to be repaired by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentgym.environments.phone.app import Change
from agentgym.environments.phone.device import Device
from agentgym.environments.phone.expert import Route
from agentgym.environments.phone.store import Content, Store


@dataclass(frozen=True)
class Target:
    """How one table should look: what rows that there were should say by now, and rows to be added."""

    rows: Mapping[int, Content]
    added: Sequence[Content] = ()

    def remaining(self, now: Mapping[int, Content]) -> list[tuple[int, Content | None, Content | None]]:
        """Return what to change as (id, before, after); the smallest such list that keeps rows their ids."""
        if now == self.rows and not self.added:
            return []
        wanted, have = Counter([*self.rows.values(), *self.added]), Counter(now.values())
        if wanted == have:
            return []
        missing, surplus = wanted - have, have - wanted
        todo: list[tuple[int, Content | None, Content | None]] = []
        for row_id, after in self.rows.items():
            before = now.get(row_id)
            if before is not None and missing[after] > 0 and surplus[before] > 0:
                todo.append((row_id, before, after))
                missing[after] -= 1
                surplus[before] -= 1
        rest = list(missing.elements())
        for row_id, before in now.items():
            if surplus[before] > 0:
                surplus[before] -= 1
                stray = row_id not in self.rows  # it was made since: what is wrong in it can be put right
                todo.append((row_id, before, rest.pop() if stray and rest else None))
        return todo + [(0, None, after) for after in rest]


@dataclass(frozen=True)
class Clue:
    """A screen that has to be read before the task can be done by somebody who knows only the instruction."""

    route: Route
    to_end: bool = False
    """Whether the list there has to be read to its end."""

    def seen(self, device: Device) -> bool:
        """Whether it is on the screen."""
        return self.route.arrived(device) and not (self.to_end and device.scene.layout.more_below)

    def next(self, device: Device) -> str:
        """Return the next action on the way to it."""
        return "swipe up" if self.route.arrived(device) and not device.banner else self.route.next(device)


@dataclass(frozen=True)
class Goal:
    """One task's goal."""

    instruction: str
    """What is asked for, without "Your task is to: " and the full stop."""
    targets: Mapping[str, Target]
    """By table, those to be changed first, in the order in which that is natural."""
    answer: str = ""
    """What should be answered; empty where nothing is asked."""
    infeasible: bool = False
    """Whether the right thing is to say that it cannot be done."""
    clues: Sequence[Clue] = ()

    def remaining(self, store: Store) -> list[Change]:
        """Return the changes by which everything would be as it should."""
        changes: list[Change] = []
        for name, target in self.targets.items():
            for row_id, before, after in target.remaining(store.contents(name)):
                named = store.tables[name].named
                changes.append(
                    Change(
                        name,
                        row_id,
                        None if before is None else named(before),
                        None if after is None else named(after),
                    )
                )
        return changes

    def is_answer(self, text: str) -> bool:
        """Whether an answer is the right one, whatever the case, blanks and full stops around it."""
        return _plain(text) == _plain(self.answer)

    def solved(self, store: Store, answer: str, status: str) -> bool:
        """Whether an episode that ended with `status` is a success."""
        expected = "infeasible" if self.infeasible else "complete"
        return status == expected and self.is_answer(answer) and not self.remaining(store)


def effort(changes: Sequence[Change]) -> int:
    """Return how much is to be done: one for each column that changes, and for each row that comes or goes."""
    return sum(len(change.changed) if change.before and change.after else 1 for change in changes)


def _plain(text: str) -> str:
    return " ".join(text.split()).strip(" .").casefold()
