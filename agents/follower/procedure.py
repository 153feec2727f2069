"""Procedures: the part of a skill that a program can follow, as lines that people and models read too.

    When the task reads: put a clean {x} on {y}.
    Steps:
    1. take {x} from {any place} (before: go to {any place}; open {any place})
    2. clean {x} with {sinkbasin} (before: go to {sinkbasin})
    3. move {x} to {y} (before: go to {y}; open {y})

A variable stands for the words at its place in the task; one that the task does not have is the observed field of that
name, or else any thing of that class. `{any ...}` is anything, `{other x}` another thing of the class of x. A step may
begin with a condition on an observed field, as in `[if status is pending] cancel_order({"order_id": "{order_id}"})`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape

WHEN = "When the task reads: "
STEPS = "Steps:"
TASKS = "For tasks such as:"
"""Stands in the description of a skill before the triggers of its procedures."""
ANY, OTHER = "any ", "other "

_TERM = re.compile(r"\{([A-Za-z][\w -]*)\}")
_STEP = re.compile(r"\d+\. (?:\[(if|unless) (\S+) is ([^\]]*)\] )?(.*?)(?: \(before: (.*)\))?")
_VALUE = r"([\w@:/-]+(?:[.,]\w+)*)"
"""What a variable of a task's line stands for: one word, date, amount or address."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with variables: `pieces` around `terms`, one more of them."""

    pieces: tuple[str, ...]
    terms: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template as it is written.

        >>> Template.parse("move {x} to {y}").terms
        ('x', 'y')
        """
        parts = _TERM.split(text)
        return cls(tuple(parts[::2]), tuple(parts[1::2]))

    def __str__(self) -> str:
        return self.pieces[0] + "".join(
            f"{{{term}}}{piece}" for term, piece in zip(self.terms, self.pieces[1:], strict=True)
        )

    def values(self, text: str, value: str = "(.+?)") -> tuple[str, ...] | None:
        """Return what the terms stand for in `text`; None where it does not have this form."""
        found = re.fullmatch(value.join(map(re.escape, self.pieces)), text)
        return found.groups() if found else None

    def fill(self, values: Sequence[str]) -> str:
        """Return the text with `values` for the terms."""
        return self.pieces[0] + "".join(
            f"{value}{piece}" for value, piece in zip(values, self.pieces[1:], strict=True)
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether a step is to be done: the observed `field` has the value, or has not."""

    field: str
    value: str
    """A text, or a variable of the task in braces."""
    holds: bool = True

    def __str__(self) -> str:
        return f"[{'if' if self.holds else 'unless'} {self.field} is {self.value}] "


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, and what makes it possible where it is not."""

    action: Template
    before: tuple[Template, ...] = ()
    """In the order in which they were needed; the last one is nearest."""
    condition: Condition | None = None

    def __str__(self) -> str:
        before = f" (before: {'; '.join(map(str, self.before))})" if self.before else ""
        return f"{self.condition or ''}{self.action}{before}"


@dataclass(frozen=True, slots=True)
class Procedure:
    """What to do where a task reads like one of `triggers`."""

    triggers: tuple[Template, ...]
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        lines = [f"{WHEN}{trigger}" for trigger in self.triggers]
        return "\n".join([*lines, STEPS, *(f"{n}. {step}" for n, step in enumerate(self.steps, 1))])

    def bind(self, wish: str) -> dict[str, str] | None:
        """Return what the variables stand for in a task's line; None where no trigger fits."""
        for trigger in self.triggers:
            found = trigger.values(wish, _VALUE)
            if found is not None and _consistent(trigger.terms, found):
                return dict(zip(trigger.terms, found, strict=True))
        return None


def read_procedures(text: str) -> list[Procedure]:
    """Return the procedures in a text, such as the block that shows memory items; lines of other kinds are left out.

    >>> [str(step) for step in read_procedures("When the task reads: sit on {x}\\nSteps:\\n1. sit {x}\\n")[0].steps]
    ['sit {x}']
    """
    return _read(text)[0]


def read_prose(text: str) -> list[str]:
    """Return the paragraphs of a text that are no part of a procedure, as they are written.

    >>> read_prose("Chairs are by the table.\\nWhen the task reads: sit on {x}\\nSteps:\\n1. sit {x}\\n\\nRest.")
    ['Chairs are by the table.', 'Rest.']
    """
    return _read(text)[1]


def _read(text: str) -> tuple[list[Procedure], list[str]]:
    """Return the procedures of a text, and its other paragraphs."""
    found: list[Procedure] = []
    others: list[str] = []
    triggers: list[int] = []
    """Where they stand in `others`, until a step comes after them."""
    steps: list[Step] = []
    for line in [*text.splitlines(), WHEN]:
        if line.startswith(WHEN):
            if steps:
                wishes = [unescape(others[place].removeprefix(WHEN)) for place in triggers]
                found.append(Procedure(tuple(map(Template.parse, wishes)), tuple(steps)))
                for place in triggers:
                    others[place] = ""
                triggers, steps = [], []
            triggers.append(len(others))
            others.append(line)
        elif triggers and (step := read_step(unescape(line))) is not None:
            steps.append(step)
            others.append("")
        else:
            others.append("" if triggers and line.strip() == STEPS else line)
    paragraphs = re.split(r"\n\s*\n", "\n".join(others[:-1]))
    return found, [part.strip("\n") for part in paragraphs if part.strip()]


def read_step(line: str) -> Step | None:
    """Return the step in a numbered line; None for any other line."""
    read = _STEP.fullmatch(line.strip())
    if read is None:
        return None
    word, name, value, action, before = read.groups()
    condition = Condition(name, value, word == "if") if word else None
    templates = tuple(map(Template.parse, before.split("; "))) if before else ()
    return Step(Template.parse(action), templates, condition)


def wish_of(observation: str) -> str:
    """Return the line of a first observation that says what is wanted: its last.

    >>> wish_of("You are in a room.\\n\\nYour task is to: put a mug on shelf.\\n")
    'Your task is to: put a mug on shelf.'
    """
    lines = [line.strip() for line in observation.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def class_of(thing: str) -> str:
    """Return what kind of thing a numbered one is.

    >>> class_of("mug 2"), class_of("O84")
    ('mug', 'O84')
    """
    return re.sub(r" \d+$", "", thing)


def _consistent(terms: Sequence[str], values: Sequence[str]) -> bool:
    first: dict[str, str] = {}
    return all(first.setdefault(term, value) == value for term, value in zip(terms, values, strict=True))


def fields_of(data: object) -> Mapping[str, str]:
    """Return the single values in JSON data by name, as texts; of a list those of its first entry."""
    found: dict[str, str] = {}
    if isinstance(data, list) and data:
        return fields_of(data[0])  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(data, dict):
        for name, value in data.items():  # pyright: ignore[reportUnknownVariableType]
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                found[str(name)] = str(value)  # pyright: ignore[reportUnknownArgumentType]
    return found
