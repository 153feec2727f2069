"""Texts, changed in the editor."""

from __future__ import annotations

import random
from collections.abc import Callable

from agentgym.environments.desktop.goals import Goal
from agentgym.environments.desktop.opening import Opening
from agentgym.environments.desktop.templates.draft import (
    NAMES,
    WORDS,
    Template,
    goal,
    in_terminal,
    lines,
    pressed,
    text,
    typed,
)


def _rewritten(rng: random.Random, ask: Callable[[str], str], rows: list[str], new: list[str]) -> Goal:
    """A task in which a text becomes another one, by writing it anew."""
    name = f"{rng.choice(NAMES)}.txt"
    plan = [*pressed("ctrl+a"), typed(text(new)), *pressed("ctrl+s")]
    return goal(ask(name), {name: text(rows)}, {name: text(new)}, Opening("mousepad", (name,)), plan)


def _append(rng: random.Random) -> Goal:
    name, rows, word = f"{rng.choice(NAMES)}.txt", lines(rng), rng.choice(WORDS)
    line = f"remember the {word} {rng.randint(100, 999)}"
    plan = [*pressed("ctrl+end"), typed(f"{line}\n"), *pressed("ctrl+s")]
    ask = f'add the line "{line}" at the end of {name}'
    return goal(ask, {name: text(rows)}, {name: text([*rows, line])}, Opening("mousepad", (name,)), plan)


def _prepend(rng: random.Random) -> Goal:
    name, rows = f"{rng.choice(NAMES)}.txt", lines(rng)
    line = f"{rng.choice(WORDS)} {rng.choice(WORDS)} {rng.randint(100, 999)}"
    plan = [*pressed("ctrl+home"), typed(f"{line}\n"), *pressed("ctrl+s")]
    ask = f'put the line "{line}" before all others of {name}'
    return goal(ask, {name: text(rows)}, {name: text([line, *rows])}, Opening("mousepad", (name,)), plan)


def _replace(rng: random.Random) -> Goal:
    rows, (old, new) = lines(rng), rng.sample([word for word in WORDS if len(word) > 5], 2)
    rows = [row for row in rows if old not in row]
    for _ in range(2):
        rows.insert(rng.randrange(len(rows) + 1), f"{old} {rng.randint(2, 99)}")
    changed = [row.replace(old, new) for row in rows]
    return _rewritten(
        rng, lambda name: f'replace the word "{old}" by "{new}" wherever {name} has it', rows, changed
    )


def _delete_line(rng: random.Random) -> Goal:
    rows = lines(rng)
    gone = rng.choice(rows)
    rest = [row for row in rows if row != gone]
    return _rewritten(rng, lambda name: f'delete the line "{gone}" from {name}', rows, rest)


def _sort(rng: random.Random) -> Goal:
    rows = lines(rng)
    while rows == sorted(rows):
        rng.shuffle(rows)
    return _rewritten(rng, lambda name: f"put the lines of {name} in alphabetical order", rows, sorted(rows))


def _reverse(rng: random.Random) -> Goal:
    rows = lines(rng)
    return _rewritten(
        rng, lambda name: f"reverse the order of the lines of {name}, the last one first", rows, rows[::-1]
    )


def _new_note(rng: random.Random) -> Goal:
    name, line = (
        f"{rng.choice(NAMES)}.txt",
        f"{rng.choice(WORDS)} and {rng.choice(WORDS)} {rng.randint(10, 99)}",
    )
    plan = in_terminal(f"echo '{line}' > {name}")
    ask = f'write a new text file {name} in the home folder that says "{line}"'
    return goal(ask, {}, {name: f"{line}\n"}, Opening("mousepad"), plan)


def _save_copy(rng: random.Random) -> Goal:
    old, new = (f"{name}.txt" for name in rng.sample(NAMES, 2))
    rows = lines(rng)
    ask = f"save what {old} says as {new} too"
    return goal(
        ask, {old: text(rows)}, {new: text(rows)}, Opening("mousepad", (old,)), in_terminal(f"cp {old} {new}")
    )


EDITING = (
    Template("edit_append", "easy", _append),
    Template("edit_prepend", "easy", _prepend),
    Template("edit_replace", "medium", _replace),
    Template("edit_delete_line", "easy", _delete_line),
    Template("edit_sort", "medium", _sort),
    Template("edit_reverse", "medium", _reverse, heldout=True),
    Template("edit_new_note", "medium", _new_note),
    Template("edit_save_copy", "easy", _save_copy, heldout=True),
)
