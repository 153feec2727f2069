"""Tasks that take reading or reckoning before something is filled in."""

from __future__ import annotations

import re

from agentgym.environments.miniwob.experts.view import Experts, Stuck, View, click, fill, first

EXPERTS = Experts()


@EXPERTS.on("simple-arithmetic")
def reckon(view: View) -> str:
    """Reckon, and submit."""
    one, sign, other = re.findall(r"(-?\d+) ([-+x*]) (-?\d+)", view.texts()[0])[0]
    return _answer(view, str(_value(int(one), sign, int(other))))


@EXPERTS.on("simple-algebra")
def solve(view: View) -> str:
    """Solve a linear equation, and submit."""
    left, right = view.texts()[0].split(" = ")
    at = [_value_of(left, x) - int(right) for x in (0, 1)]
    return _answer(view, str(round(at[0] / (at[0] - at[1]))))


@EXPERTS.on("find-word")
def nth_word(view: View) -> str:
    """Give the nth word of a text."""
    nth = int(re.findall(r"the (\d+)", view.utterance)[0]) - 1
    words: list[str] = view.evaluate(
        "() => document.querySelector('#area p').textContent.trim().split(/\\s+/)"
    )
    return _answer(view, words[nth].strip(".,"))


@EXPERTS.on("text-transform")
def letters(view: View) -> str:
    """Give the letters that stand there, however they look."""
    return _answer(view, "".join(view.texts()))


@EXPERTS.on("visual-addition")
def count_blocks(view: View) -> str:
    """Count the blocks."""
    return _answer(view, str(view.text.count("span.addition-block")))


@EXPERTS.on("read-table")
def cell_of_a_table(view: View) -> str:
    """Give the value that stands beside a label."""
    label = view.utterance.removeprefix("Enter the value of ").partition(" into")[0]
    return _answer(view, _beside(view, label))


@EXPERTS.on("read-table-2")
def cells_of_a_table(view: View) -> str:
    """Give the values that stand beside the labels of the fields."""
    labels = [text.rstrip(":") for text in view.texts()]
    fields = view.all("textbox")
    steps = [fill(view, field, _beside(view, label)) for field, label in zip(fields, labels, strict=True)]
    return first(*steps, click(view.find("button")))


@EXPERTS.on("guess-number")
def halve(view: View) -> str:
    """Guess the middle of what is left, until it is right."""
    if view.actions and view.actions[-1].startswith("fill("):
        return click(view.find("button"))
    guesses = [int(one) for one in re.findall(r'fill\(\d+, "(\d+)"\)', " ".join(view.actions))]
    low, high = 0, 9
    # Each later guess says what had been learned from the one before.
    for past, next_one in zip(guesses, [*guesses[1:], None], strict=False):
        higher = next_one > past if next_one is not None else _is_higher(view)
        low, high = (past + 1, high) if higher else (low, past - 1)
    return f'fill({view.find("spinbutton")}, "{(low + high) // 2}")'


def _is_higher(view: View) -> bool:
    return bool(view.evaluate("() => !document.querySelector('#higher').classList.contains('hide')"))


def _beside(view: View, label: str) -> str:
    cells = [view.elements[cell].name for cell in view.all("cell")]
    if label not in cells:
        raise Stuck
    return cells[cells.index(label) + 1]


def _answer(view: View, text: str) -> str:
    return first(fill(view, view.find("textbox"), text), click(view.find("button")))


def _value_of(left: str, x: int) -> int:
    one, sign, other = left.split(" ")
    first_term, second_term = (x if term == "x" else int(term) for term in (one, other))
    return _value(first_term, sign, second_term)


def _value(one: int, sign: str, other: int) -> int:
    return {"+": one + other, "-": one - other}.get(sign, one * other)
