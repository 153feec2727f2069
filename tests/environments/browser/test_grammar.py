from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.environments.browser.grammar import VERBS, BadAction, Call, parse


@given(st.integers(0, 10**6), st.text(max_size=40).filter(lambda text: text.isprintable()))
def test_what_is_written_is_read(number: int, text: str) -> None:
    for call in (
        Call("fill", (number, text)),
        Call("select_option", (number, text, text)),
        Call("click", (number,)),
    ):
        assert parse(str(call)) == call


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("click('12')", Call("click", (12,))),
        (" fill( 3 ,\t'it\\'s \"so\"' ) ", Call("fill", (3, 'it\'s "so"'))),
        ("mouse_click(1.5, -2)", Call("mouse_click", (1.5, -2))),
        ("noop()", Call("noop")),
        ('fill(1, "a\\n\\u00e9, (b)")', Call("fill", (1, "a\né, (b)"))),
    ],
)
def test_forms(written: str, read: Call) -> None:
    assert parse(written) == read


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", "'' is no action. Write one call, such as click(12)."),
        ("click(1); click(2)", "cannot be read as an argument of click"),
        ("click(1) now", "is no action"),
        ("clck(1)", "Did you mean 'click'?"),
        ("click()", "click takes 1 argument, got 0: write click(id)."),
        ("noop(1)", "noop takes no arguments, got 1: write noop()."),
        ("select_option(1)", "takes at least 2 arguments, got 1: write select_option(id, option, ...)"),
        ("click(1,)", "cannot be read"),
        ("click(-1)", "is a whole number as shown on the page, got -1"),
        ("click(1.5)", "is a whole number"),
        ("fill(1, green)", "texts in quotes"),
        ("fill(1, 2)", 'write "2"'),
        ('fill(1, "\\q")', "a backslash that means nothing"),
        ("scroll('a', 1)", "is a number of pixels"),
        ("click(__import__('os'))", "cannot be read"),
        (f"click({'9' * 20_000})", "The action has 20007 characters"),
    ],
)
def test_what_is_no_action_is_told(written: str, told: str) -> None:
    with pytest.raises(BadAction) as caught:
        parse(written)
    assert told in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(BadAction):
        assert parse(text).verb in VERBS


def test_every_verb_says_how_it_is_used() -> None:
    assert all(verb.does and verb.usage.startswith(verb.name) for verb in VERBS.values())
