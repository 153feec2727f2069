"""An expert that has to look for things: what a player without the oracle's knowledge would do at best.

It follows the oracle's plan, except that a thing whose receptacle nobody has looked into yet must be found
first: the receptacles not seen so far are visited, and opened, in the order in which the room's text lists them.
Its play can be learned from observations; the oracle's, which goes straight to what it cannot know, cannot.
"""

from __future__ import annotations

from agentgym.environments.household.engine import Engine
from agentgym.environments.household.oracle import plan


def look_around(engine: Engine, seen: int) -> int:
    """Return `seen`, a bit for each receptacle, with those whose contents are in view now added."""
    here = engine.tables.standing[engine.state.location]
    return seen | sum(1 << receptacle for receptacle in here if engine.is_open(receptacle))


def next_command(engine: Engine, seen: int) -> str | None:
    """Return what to do now, or None when the game is won or cannot be won any more.

    `seen` are the receptacles looked into so far, a bit for each.
    """
    commands = plan(engine)
    hidden = _needed_first(engine, commands)
    if hidden is None or seen >> hidden & 1:
        return commands[0] if commands else None
    unseen = [r for r in range(len(engine.world.receptacles)) if not seen >> r & 1]
    here = [r for r in unseen if engine.tables.location_of[r] == engine.state.location]
    if here:  # in front of it and not seen: it is shut
        return f"open {engine.world.receptacles[here[0]].name}"
    return f"go to {engine.world.receptacles[unseen[0]].name}"


def _needed_first(engine: Engine, commands: list[str]) -> int | None:
    """Return the receptacle that the plan goes to for a thing, if that is what it does first."""
    for command in commands:
        verb, _, rest = command.partition(" ")
        if verb == "take":
            return engine.tables.receptacle_index[rest.rpartition(" from ")[2]]
        if verb == "use":
            return engine.where(engine.tables.thing_index[rest])
        if verb not in ("go", "open"):
            return None
    return None
