"""The state of a game as facts."""

from __future__ import annotations

from collections.abc import Iterator

from agentgym.core.facts import Fact, Facts
from agentgym.environments.household.engine import Engine
from agentgym.environments.household.tables import members

_PROPERTIES = ("clean", "hot", "cool", "sliced")


def facts_of(engine: Engine) -> Facts:
    """Return what holds: where the agent is (`at`), what it has in hand (`holding`, or `empty hand`), what is `in` what,
    which doors are `closed` or `open`, and what is `clean`, `hot`, `cool`, `sliced` or `lit`; and, which never changes,
    what is a `place` to go to and what a `switch`."""
    return frozenset(_facts(engine))


def _facts(engine: Engine) -> Iterator[Fact]:
    state, tables, world = engine.state, engine.tables, engine.world
    receptacles = [receptacle.name for receptacle in world.receptacles]
    things = [thing.name for thing in world.things]
    yield from (("place", name) for name in receptacles)
    yield from (("switch", things[thing]) for thing in members(tables.toggleable))
    for here in tables.standing[state.location]:
        yield "at", receptacles[here]
    yield ("empty hand",) if state.held < 0 else ("holding", things[state.held])
    for receptacle, inside in enumerate(state.contents):
        for thing in members(inside):
            yield "in", things[thing], receptacles[receptacle]
    for receptacle in members(tables.openable):
        yield "open" if state.opened >> receptacle & 1 else "closed", receptacles[receptacle]
    for name in _PROPERTIES:
        for thing in members(getattr(state, name)):
            yield name, things[thing]
    for thing in members(state.toggled & tables.toggleable):
        yield "lit", things[thing]
