import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.environments.alfworld.names import display_names
from agentgym.environments.alfworld.pddl import (
    Expression,
    PddlError,
    atoms,
    parse,
    section,
    show,
    typed_names,
)

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-?:=", min_size=1, max_size=8)
LISTS: st.SearchStrategy[Expression] = st.lists(
    st.recursive(NAMES, lambda inner: st.lists(inner, max_size=4), max_leaves=12), max_size=5
)


@given(LISTS)
def test_what_is_shown_reads_back(expression: Expression) -> None:
    assert parse(show(expression, most=10**6)) == expression


@given(st.text(max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        parsed = parse(text)
    except PddlError:
        return
    assert parse(show(parsed, most=10**6)) == parsed


def test_case_and_comments_do_not_matter() -> None:
    assert parse("(A ; (b\n (C d))") == ["a", ["c", "d"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(a", "never closed"),
        ("(a))", "never opened"),
        ("", "got 0"),
        ("(a) (b)", "got 2"),
        ("a", "one expression"),
    ],
)
def test_unbalanced_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(PddlError, match=message):
        parse(text)


def test_parts_of_a_problem() -> None:
    problem = parse("(define (:objects a b - t c) (:init (p a) (= (cost) 0)))")
    assert list(typed_names(section(problem, ":objects"))) == [("a", "t"), ("b", "t"), ("c", "object")]
    assert list(atoms(section(problem, ":init"))) == [("p", "a")]
    with pytest.raises(PddlError, match=":goal"):
        section(problem, ":goal")


@pytest.mark.parametrize("text", ["(a (b))", "(a -)", "(a - (b))"])
def test_bad_object_lists_are_refused(text: str) -> None:
    with pytest.raises(PddlError):
        list(typed_names(parse(text)))


@pytest.mark.parametrize("text", ["(a)", "(())", "((p (a)))"])
def test_bad_facts_are_refused(text: str) -> None:
    with pytest.raises(PddlError):
        list(atoms(parse(text)))


def test_names_are_numbered_from_the_end_of_the_list() -> None:
    names = display_names(
        [
            "mug_bar__plus_1",
            "mug_bar__plus_2",
            "sink_bar_1",
            "sink_bar_1_bar_sinkbasin",
            "bathtub_bar_2_bar_bathtubbasin",
        ]
    )
    assert names == {
        "mug_bar__plus_1": "mug 2",
        "mug_bar__plus_2": "mug 1",
        "sink_bar_1": "sink 1",
        "sink_bar_1_bar_sinkbasin": "sinkbasin 1",
        "bathtub_bar_2_bar_bathtubbasin": "bathtubbasin 1",
    }


@given(st.sets(st.from_regex(r"(mug|pan|sink)_bar_[0-9]{1,3}(_bar_sinkbasin)?", fullmatch=True), max_size=12))
def test_no_two_identifiers_get_one_name(identifiers: set[str]) -> None:
    names = display_names(identifiers)
    assert names.keys() == identifiers
    assert len(set(names.values())) == len(names)
