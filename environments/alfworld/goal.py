"""From a problem's `:goal` to what it asks for, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agentgym.environments.alfworld.pddl import Expression, PddlError, parse, show
from agentgym.environments.household.world import Goal, TaskType

_PROPERTIES = {
    TaskType.CLEAN: ("isClean", "cleanable"),
    TaskType.HEAT: ("isHot", "heatable"),
    TaskType.COOL: ("isCool", "coolable"),
}
"""What the object of a task must be, and must be able to be."""

_Atoms = list[tuple[str, tuple[str, ...]]]
"""Conditions as (predicate, arguments)."""


def goal_text(goal: Goal) -> str:
    """Return the PDDL condition that asks for a goal, in the terms of ALFWorld's domain."""
    if goal.task_type is TaskType.LOOK:
        return (
            "(and (exists (?t - object ?r - receptacle ?a - agent ?l - location)"
            f" (and (objectType ?t {goal.lamp_type}Type) (toggleable ?t) (isToggled ?t)"
            " (inReceptacle ?t ?r) (receptacleAtLocation ?r ?l) (atLocation ?a ?l)))"
            f" (exists (?o - object ?a - agent) (and {_object('?o', goal)} (holds ?a ?o))))"
        )
    target = f"(receptacleType ?r {goal.receptacle_type}Type)"
    placed = f"{_object('?o', goal)} (inReceptacle ?o ?r)"
    if goal.task_type is TaskType.PLACE_TWO:
        another = f"(not (= ?o ?o2)) {_object('?o2', goal)} (inReceptacle ?o2 ?r)"
        placed += f" (exists (?o2 - object) (and {another}))"
    return f"(exists (?r - receptacle) (and {target} (exists (?o - object) (and {placed}))))"


def read_goal(expression: Expression, class_name: Callable[[str], str]) -> Goal:
    """Return the goal that a `:goal` condition states; raises `PddlError` when it is none of the six kinds.

    `class_name` turns the name of a type constant ("mugtype") into that of the class ("Mug").
    """
    stated = list(_atoms(expression))
    predicates = {name for name, _ in stated}
    kind = _look if {"holds", "istoggled"} <= predicates else _place
    goal = kind(stated, predicates, class_name)
    wanted = {name for name, _ in _atoms(parse(goal_text(goal)))}
    # Older game files ask for the lamp at the agent's place without naming its receptacle: the same thing.
    nearby = {"receptacleatlocation", "inreceptacle"}
    older = wanted - nearby | {"objectatlocation"} if goal.task_type is TaskType.LOOK else wanted
    if predicates not in (wanted, older):
        raise PddlError(f"The goal {show(expression)} is none of the six kinds that ALFWorld plays.")
    return goal


def _object(variable: str, goal: Goal) -> str:
    predicates = [*_PROPERTIES.get(goal.task_type, ()), *(("sliceable", "isSliced") if goal.sliced else ())]
    conditions = [f"(objectType {variable} {goal.object_type}Type)"]
    return " ".join([*conditions, *(f"({predicate} {variable})" for predicate in predicates)])


def _atoms(expression: Expression) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield (predicate, arguments) of every condition below `and` and `exists`."""
    match expression:
        case ["and", *parts]:
            for part in parts:
                yield from _atoms(part)
        case ["exists", list(), body]:
            yield from _atoms(body)
        case ["not", ["=", str() as first, str() as second]]:
            yield "different", (first, second)
        case [str() as name, *arguments] if name not in ("not", "or", "forall", "imply", "when", "="):
            yield name, tuple(show(argument) for argument in arguments)
        case _:
            raise PddlError(f"The goal asks for {show(expression)}, which ALFWorld's six kinds never do.")


def _look(stated: _Atoms, predicates: set[str], class_name: Callable[[str], str]) -> Goal:
    classes = _classes(stated, "objecttype")
    held, lamp = (next(arguments[-1] for name, arguments in stated if name == wanted and arguments)
                  for wanted in ("holds", "istoggled"))  # fmt: skip
    if held not in classes or lamp not in classes or len(classes) != 2:
        raise PddlError("The goal must say of which classes the object and the lamp are, and no more.")
    return Goal(
        TaskType.LOOK,
        object_type=class_name(classes[held]),
        lamp_type=class_name(classes[lamp]),
        sliced="issliced" in predicates,
    )


def _place(stated: _Atoms, predicates: set[str], class_name: Callable[[str], str]) -> Goal:
    objects = _classes(stated, "objecttype")
    receptacles = _classes(stated, "receptacletype")
    if len(set(objects.values())) != 1 or len(receptacles) != 1 or len(objects) > 2:
        raise PddlError("The goal must name one class of object and one class of receptacle.")
    kinds = [kind for kind, (state, _) in _PROPERTIES.items() if state.lower() in predicates]
    if len(objects) == 2:
        kinds.append(TaskType.PLACE_TWO)
    if len(kinds) > 1:
        raise PddlError(f"The goal asks for {' and '.join(kinds)} at once; ALFWorld's six kinds ask for one.")
    return Goal(
        kinds[0] if kinds else TaskType.PLACE,
        object_type=class_name(next(iter(objects.values()))),
        receptacle_type=class_name(next(iter(receptacles.values()))),
        sliced="issliced" in predicates,
    )


def _classes(stated: _Atoms, predicate: str) -> dict[str, str]:
    """Return the type constant of each variable."""
    pairs = [arguments for name, arguments in stated if name == predicate]
    if any(len(pair) != 2 for pair in pairs):
        raise PddlError(f"Each ({predicate} ...) of the goal must have two arguments.")
    return {pair[0]: pair[1] for pair in pairs}
