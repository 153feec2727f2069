"""From the facts of an ALFWorld problem to a world, and which facts there are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from agentgym.environments.alfworld.goal import read_goal
from agentgym.environments.alfworld.names import display_names
from agentgym.environments.alfworld.pddl import PddlError, atoms, parse, section, typed_names
from agentgym.environments.household.tables import CLEANER, COOLER, HEATER
from agentgym.environments.household.world import Goal, Receptacle, Thing, World

PROPERTIES = {
    "pickupable": "pickupable",
    "cleanable": "cleanable",
    "heatable": "heatable",
    "coolable": "coolable",
    "sliceable": "sliceable",
    "toggleable": "toggleable",
    "isreceptacleobject": "holds_others",
    "isclean": "clean",
    "ishot": "hot",
    "iscool": "cool",
    "issliced": "sliced",
    "istoggled": "toggled",
}
"""Predicates of one thing, and the field of `Thing` that says the same."""

KNIVES = ("Knife", "ButterKnife")
"""The classes that ALFWorld's rules let slice."""

_RELATIONS = {
    "atlocation", "cancontain", "inreceptacle", "inreceptacleobject", "objectatlocation", "objecttype",
    "opened", "openable", "receptacleatlocation", "receptacletype",
}  # fmt: skip
_WITHOUT_EFFECT = {
    "checked", "examined", "full", "holdsanyreceptacleobject", "ison", "isreceptacleobjectfull", "moveable",
    "wasinreceptacle",
}  # fmt: skip
"""Predicates that no command, text or goal looks at."""

_Facts = Mapping[str, Sequence[tuple[str, ...]]]


def read_problem(text: str, instruction: str) -> World:
    """Return the world that an ALFWorld problem describes; raises `PddlError` saying what is wrong with it."""
    return _Problem(text).world(instruction)


class _Problem:
    def __init__(self, text: str) -> None:
        parts = parse(text)
        self.kinds = dict(typed_names(section(parts, ":objects")))
        self.facts = _by_predicate(atoms(section(parts, ":init")))
        self.goal_part = section(parts, ":goal")
        self._check()
        self.spellings = _spellings(text)
        mentioned = {name for facts in self.facts.values() for fact in facts for name in fact}
        self.names = display_names(mentioned)
        self.receptacles = sorted(name for name in mentioned if self.kinds[name] == "receptacle")
        self.things = sorted(name for name in mentioned if self.kinds[name] == "object")

    def world(self, instruction: str) -> World:
        places = self._single("receptacleatlocation")
        numbers = {place: number for number, place in enumerate(sorted(self._all_places()))}
        return World(
            receptacles=self._receptacles(places, numbers),
            things=self._things(places, numbers),
            can_contain=self._can_contain(),
            goal=self._goal(),
            instruction=instruction,
            start_location=numbers[self._start()],
        )

    def _check(self) -> None:
        known = _RELATIONS | _WITHOUT_EFFECT | PROPERTIES.keys()
        if unknown := sorted(self.facts.keys() - known):
            raise PddlError(
                f"The problem states {', '.join(unknown)}, which cannot be played from the start."
            )
        for predicate, facts in self.facts.items():
            for fact in facts:
                if undeclared := [name for name in fact if name not in self.kinds]:
                    raise PddlError(
                        f"({predicate} {' '.join(fact)}) names {undeclared[0]!r}, not in :objects."
                    )

    def _receptacles(self, places: Mapping[str, str], numbers: Mapping[str, int]) -> tuple[Receptacle, ...]:
        if lost := [name for name in self.receptacles if name not in places]:
            raise PddlError(f"No (receptacleAtLocation {lost[0]} ...): the agent could never get there.")
        types = self._single("receptacletype")
        return tuple(
            Receptacle(
                name=self.names[name],
                rtype=self.class_name(types[name]) if name in types else "",
                openable=(name,) in self.facts["openable"],
                opened=(name,) in self.facts["opened"],
                location=numbers[places[name]],
            )
            for name in self.receptacles
        )

    def _things(self, places: Mapping[str, str], numbers: Mapping[str, int]) -> tuple[Thing, ...]:
        types = self._single("objecttype")
        reach, where, holders = (
            self._several(predicate)
            for predicate in ("objectatlocation", "inreceptacle", "inreceptacleobject")
        )
        index = {name: i for i, name in enumerate(self.receptacles)}
        thing_index = {name: i for i, name in enumerate(self.things)}
        having = {
            field: {fact[0] for fact in self.facts[predicate]} for predicate, field in PROPERTIES.items()
        }
        made: list[Thing] = []
        for name in self.things:
            otype = self.class_name(types[name]) if name in types else ""
            inside = [index[receptacle] for receptacle in sorted(where[name])]
            first = inside[0] if inside else None
            home = numbers[places[self.receptacles[first]]] if first is not None else None
            reached = tuple(sorted(numbers[place] for place in reach[name]))
            made.append(
                Thing(
                    name=self.names[name],
                    otype=otype,
                    receptacle=first,
                    slices=otype in KNIVES,
                    inside=tuple(thing_index[holder] for holder in sorted(holders[name])),
                    also_in=tuple(inside[1:]),
                    locations=None if reached == ((home,) if home is not None else ()) else reached,
                    **{field: name in names for field, names in having.items()},
                )
            )
        return tuple(made)

    def _can_contain(self) -> frozenset[tuple[str, str]]:
        pairs = self.facts["cancontain"]
        return frozenset((self.class_name(rtype), self.class_name(otype)) for rtype, otype in pairs)

    def _goal(self) -> Goal:
        if len(self.goal_part) != 1:
            raise PddlError("The :goal part must hold one condition.")
        return read_goal(self.goal_part[0], self.class_name)

    def _start(self) -> str:
        starts = self.facts["atlocation"]
        if len(starts) != 1:
            raise PddlError(
                f"The agent must be in one place at the start; (atLocation ...) is stated {len(starts)} times."
            )
        return starts[0][-1]

    def _all_places(self) -> set[str]:
        relations = ("atlocation", "objectatlocation", "receptacleatlocation")
        return {fact[-1] for predicate in relations for fact in self.facts[predicate]}

    def class_name(self, constant: str) -> str:
        """Return the class that a type constant stands for: "sinkbasintype" is "SinkBasin"."""
        kind = constant.removesuffix("type")
        return self.spellings.get(kind, kind)

    def _single(self, predicate: str) -> dict[str, str]:
        found = self._several(predicate)
        for name, values in found.items():
            if len(values) > 1:
                raise PddlError(f"({predicate} {name} ...) is stated {len(values)} times; it can have one.")
        return {name: next(iter(values)) for name, values in found.items()}

    def _several(self, predicate: str) -> defaultdict[str, set[str]]:
        found: defaultdict[str, set[str]] = defaultdict(set)
        for fact in self.facts[predicate]:
            if len(fact) != 2:
                raise PddlError(f"({predicate} {' '.join(fact)}) must have two arguments.")
            found[fact[0]].add(fact[1])
        return found


def _by_predicate(facts: Iterable[tuple[str, ...]]) -> defaultdict[str, list[tuple[str, ...]]]:
    found: defaultdict[str, list[tuple[str, ...]]] = defaultdict(list)
    for predicate, *arguments in facts:
        found[predicate].append(tuple(arguments))
    return found


def _spellings(text: str) -> dict[str, str]:
    """Return how the problem writes its classes, by their lower case: PDDL itself does not care."""
    written = {name.removesuffix("Type") for name in re.findall(r"\b[A-Za-z]+Type\b", text)}
    known = (CLEANER, HEATER, COOLER, *KNIVES)
    return {name.lower(): name for name in (*written, *known)}
