"""What wins a game, and how much of it is done."""

from __future__ import annotations

from typing import Protocol

from agentgym.environments.household.tables import Tables
from agentgym.environments.household.world import TaskType, World


class Situation(Protocol):
    """The part of the state that goals look at. Sets of things are bit masks."""

    location: int
    held: int
    contents: list[int]
    clean: int
    hot: int
    cool: int
    sliced: int
    toggled: int


class GoalTest:
    """Whether the goal of one world holds, and the fraction of it that does.

    The conditions are those of the task type: the object lies in the receptacle; it has been cleaned,
    heated or cooled; it has been sliced, where the goal asks for it. Two objects have them twice. A look
    in the light has two: the object is in hand (and sliced), a lamp is lit where the agent stands.
    """

    def __init__(self, world: World, tables: Tables) -> None:
        goal = world.goal
        kind = goal.task_type
        self._kind = kind
        self._sliced = goal.sliced
        self._standing = tables.standing
        able = {
            TaskType.CLEAN: tables.cleanable,
            TaskType.HEAT: tables.heatable,
            TaskType.COOL: tables.coolable,
        }
        self.objects = tables.of_type.get(goal.object_type, 0) & able.get(kind, -1)
        """The things any of which will do."""
        if goal.sliced:
            self.objects &= tables.sliceable
        self.lamps = tables.of_type.get(goal.lamp_type, 0) & tables.toggleable if kind is TaskType.LOOK else 0
        self.receptacles = [i for i, r in enumerate(world.receptacles) if r.rtype == goal.receptacle_type]
        self.needed = 2 if kind is TaskType.PLACE_TWO else 1

    def won(self, state: Situation) -> bool:
        """Whether the goal holds now."""
        if self._kind is TaskType.LOOK:
            return self._in_hand(state) and self._in_light(state)
        ready = self._ready(state)
        if not ready:
            return False
        for receptacle in self.receptacles:
            placed = state.contents[receptacle] & ready
            if placed and placed.bit_count() >= self.needed:
                return True
        return False

    def progress(self, state: Situation) -> float:
        """Fraction of the conditions met by the best choice of objects and receptacle; 1.0 when won."""
        if self._kind is TaskType.LOOK:
            return self._look_progress(state)
        properties = self._properties(state)
        best = sum(self._met(0, properties)[: self.needed])
        for receptacle in self.receptacles:
            placed = state.contents[receptacle] & self.objects
            if placed:
                best = max(best, sum(self._met(placed, properties)[: self.needed]))
        return best / (self.needed * (1 + len(properties)))

    def _met(self, placed: int, properties: list[int]) -> list[int]:
        """For each object that will do, most first: how many conditions hold when `placed` are in place."""
        counts: list[int] = []
        rest = self.objects
        while rest:
            bit = rest & -rest
            rest ^= bit
            counts.append(sum(1 for having in (placed, *properties) if having & bit))
        return sorted(counts, reverse=True)

    def _properties(self, state: Situation) -> list[int]:
        """The masks of things having each property that the goal asks for."""
        wanted: list[int] = []
        if self._kind is TaskType.CLEAN:
            wanted.append(state.clean)
        elif self._kind is TaskType.HEAT:
            wanted.append(state.hot)
        elif self._kind is TaskType.COOL:
            wanted.append(state.cool)
        if self._sliced:
            wanted.append(state.sliced)
        return wanted

    def _ready(self, state: Situation) -> int:
        """The things that only have to be in place."""
        ready = self.objects
        for having in self._properties(state):
            ready &= having
        return ready

    def _in_hand(self, state: Situation) -> bool:
        return state.held >= 0 and bool(self._ready(state) >> state.held & 1)

    def _in_light(self, state: Situation) -> bool:
        lit = self.lamps & state.toggled
        return bool(lit) and any(state.contents[r] & lit for r in self._standing[state.location])

    def _look_progress(self, state: Situation) -> float:
        properties = self._properties(state)
        held = 1 << state.held if state.held >= 0 else 0
        met = self._met(held, properties)
        return ((met[0] if met else 0) + self._in_light(state)) / (2 + len(properties))
