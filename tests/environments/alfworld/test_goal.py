import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.environments.alfworld.goal import goal_text, read_goal
from agentgym.environments.alfworld.pddl import PddlError, parse
from agentgym.environments.household.world import Goal, TaskType


def _class_name(constant: str) -> str:
    return constant.removesuffix("type").capitalize()


@given(st.sampled_from(TaskType), st.sampled_from(["Mug", "Pan"]), st.booleans())
def test_a_written_goal_reads_back(kind: TaskType, thing: str, sliced: bool) -> None:
    look = kind is TaskType.LOOK
    goal = Goal(kind, thing, "" if look else "Desk", "Lamp" if look else "", sliced)
    assert read_goal(parse(goal_text(goal)), _class_name) == goal


def test_the_older_way_to_ask_for_a_lamp() -> None:
    text = """(and (exists (?ot - object ?a - agent ?l - location) (and (objectType ?ot LampType)
        (toggleable ?ot) (isToggled ?ot) (objectAtLocation ?ot ?l) (atLocation ?a ?l)))
        (exists (?o - object ?a - agent) (and (objectType ?o MugType) (holds ?a ?o))))"""
    assert read_goal(parse(text), _class_name) == Goal(TaskType.LOOK, "Mug", lamp_type="Lamp")


CLEAN = "(isClean ?o) (cleanable ?o)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(exists (?o - object) (holds ?a ?o))", "one class of object"),
        (
            "(exists (?o - object) (and (objectType ?o MugType) (inReceptacle ?o ?r)))",
            "one class of receptacle",
        ),
        ("(forall (?o - object) (isClean ?o))", "never do"),
        ("(not (isClean ?o))", "never do"),
        (f"(and (objectType ?o MugType) (receptacleType ?r DeskType) {CLEAN} (isHot ?o))", "at once"),
        ("(and (objectType ?o MugType) (receptacleType ?r DeskType) (isClean ?o))", "none of the six"),
        (
            "(and (objectType ?o MugType) (receptacleType ?r DeskType) (inReceptacleObject ?o ?r))",
            "none of the six",
        ),
        ("(and (holds ?a ?o) (isToggled ?t) (objectType ?o MugType))", "the lamp"),
        ("(objectType ?o)", "two arguments"),
    ],
)
def test_other_goals_are_refused(text: str, message: str) -> None:
    with pytest.raises(PddlError, match=message):
        read_goal(parse(text), _class_name)
