"""The sentences of the game, word for word those of ALFWorld's text engine."""

from __future__ import annotations

from collections.abc import Sequence

BANNER = "-= Welcome to TextWorld, ALFRED! =-"
NOTHING_HAPPENS = "Nothing happens."

# Left column: what may be typed. Right column: what it does. (The odd spacing of `move` is ALFWorld's.)
_COMMANDS = (
    ("look:                             ", "look around your current location"),
    ("inventory:                        ", "check your current inventory"),
    ("go to (receptacle):               ", "move to a receptacle"),
    ("open (receptacle):                ", "open a receptacle"),
    ("close (receptacle):               ", "close a receptacle"),
    ("take (object) from (receptacle):  ", "take an object from a receptacle"),
    ("move (object) to (receptacle):  ", "place an object in or on a receptacle"),
    ("examine (something):              ", "examine a receptacle or an object"),
    ("use (object):                     ", "use an object"),
    ("heat (object) with (receptacle):  ", "heat an object using a receptacle"),
    ("clean (object) with (receptacle): ", "clean an object using a receptacle"),
    ("cool (object) with (receptacle):  ", "cool an object using a receptacle"),
    ("slice (object) with (object):     ", "slice an object using a sharp object"),
)
HELP = "Available commands:\n" + "".join(f"  {left}{right}\n" for left, right in _COMMANDS)


def enumerate_names(names: Sequence[str]) -> str:
    """Join a list as the game does.

    >>> enumerate_names([]), enumerate_names(["a cup 1"]), enumerate_names(["a cup 1", "a pan 1"])
    ('nothing', 'a cup 1', 'a cup 1, and a pan 1')
    """
    if not names:
        return "nothing"
    if len(names) == 1:
        return names[0]
    return ", ".join(names[:-1]) + ", and " + names[-1]


def indefinite(names: Sequence[str]) -> str:
    """Join a list of things, each with its article. The game says "a apple 1"."""
    return enumerate_names([f"a {name}" for name in names])


def room(receptacles: Sequence[str]) -> str:
    """What the agent sees from the middle of the room."""
    return f"You are in the middle of a room. Looking quickly around you, you see {indefinite(receptacles)}."


def facing(receptacles: Sequence[str], beside: Sequence[str]) -> str:
    """What `look` says at a place with receptacles."""
    return f"You are facing the {enumerate_names(receptacles)}. Next to it, you see {indefinite(beside)}."


def opening(view: str, instruction: str) -> str:
    """The first text of a game."""
    return f"{BANNER}\n\n{view}\n\nYour task is to: {instruction}."


def describe_receptacle(name: str, openable: bool, opened: bool, contents: Sequence[str]) -> str:
    """What a look at a receptacle shows."""
    if openable and opened:
        return f"The {name} is open. In it, you see {indefinite(contents)}."
    if openable:
        return f"The {name} is closed."
    return f"On the {name}, you see {indefinite(contents)}."


def describe_thing(name: str, *, clean: bool, hot: bool, cool: bool, sliced: bool, on: bool) -> str:
    """What a look at a thing shows, unless it holds others. At most one state of a kind is told."""
    temperature = "hot" if hot else "cool" if cool else ""
    if clean and sliced:
        return (
            f"This is a {temperature} and clean sliced {name}."
            if temperature
            else f"This is a clean sliced {name}."
        )
    if sliced and temperature:
        return f"This is a {temperature} sliced {name}."
    if clean and temperature:
        return f"This is a {temperature} and clean {name}."
    if hot:
        return f"This is a hot {name}."
    if clean:
        return f"This is a clean {name}."
    if cool:
        return f"This is a cold {name}."
    if on:
        return f"This {name} is on."
    if sliced:
        return f"This is a sliced {name}."
    return f"There's nothing special about {name}."


def describe_holder(name: str, contents: Sequence[str]) -> str:
    """What a look at a thing that holds others shows."""
    return f"This is a normal {name}. In it, you see {indefinite(contents)}."
