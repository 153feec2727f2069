"""A tool from sightings: which of the places at hand is likeliest to have a thing, by what was seen where before."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence

from agentgym.agents.follower.acts import take_apart
from agentgym.agents.follower.procedure import class_of
from agentgym.agents.follower.searching import INPUT_SCHEMA, OUTPUT_SCHEMA
from agentgym.core.memory import MemoryItem
from agentgym.core.tool import ToolSpec
from agentgym.evolution.distilling.lessons import Lesson
from agentgym.memory.skills.document import MAX_DESCRIPTION
from agentgym.memory.tools.document import tool_item

NAME = "likely-places"
LEAST_SIGHTINGS = 100
"""Before there is anything to say."""

_CODE = '''\
"""For each kind of thing the kinds of places where it was seen, those first where a look showed one most often."""

ORDERS = {orders}


def kind(name):
    words = name.split(" ")
    return " ".join(words[:-1]) if len(words) > 1 and words[-1].isdigit() else name


def run(args):
    order = ORDERS.get(kind(args["thing"]), [])
    ranks = {{place: rank for rank, place in enumerate(order)}}
    return {{"places": sorted(args["places"], key=lambda place: ranks.get(kind(place), len(order)))}}
'''
_TEST = """\
from tool import run

ORDERS = {orders}
for thing, order in ORDERS.items():
    places = [f"{{place}} 1" for place in order] + ["nowhere 1"]
    assert run({{"thing": f"{{thing}} 2", "places": places[::-1]}}) == {{"places": places}}, thing
    assert run({{"thing": thing, "places": ["nowhere", order[0]]}}) == {{"places": [order[0], "nowhere"]}}, thing
assert run({{"thing": "no such thing 1", "places": ["b 1", "a 1"]}}) == {{"places": ["b 1", "a 1"]}}
assert run({{"thing": "no such thing", "places": []}}) == {{"places": []}}
"""


def places_tool(
    lessons: Sequence[Lesson], preparing: Collection[tuple[str, ...]], space: str = ""
) -> tuple[MemoryItem, list[Lesson]] | None:
    """Return a tool that sorts places, and the lessons that it was made from; None where too little was seen.

    It is written anew whenever there are twice as many lessons, not whenever a count changes. What was seen at a place
    are the things that the world named when somebody went there or opened it: actions on one thing that prepare others.
    """
    used = list(lessons[: 1 << (len(lessons).bit_length() - 1)]) if lessons else []
    looks, seen = _sightings(used, preparing)
    if seen.total() < LEAST_SIGHTINGS:
        return None
    shares: dict[str, dict[str, float]] = {}
    for (thing, place), count in sorted(seen.items()):
        shares.setdefault(thing, {})[place] = count / looks[place]
    orders = {thing: sorted(own, key=lambda place: (-own[place], place)) for thing, own in shares.items()}
    kinds = sorted({place for _, place in seen})
    spec = ToolSpec(
        NAME,
        f"Sorts places by how likely a thing is there, the likeliest first. Knows {', '.join(kinds)}."[
            :MAX_DESCRIPTION
        ],
        INPUT_SCHEMA,
    )
    table = json.dumps(orders, indent=1, sort_keys=True)
    item = tool_item(
        spec,
        _CODE.format(orders=table),
        {"test_orders.py": _TEST.format(orders=table)},
        space=space,
        env_id=used[0].env_id,
        output_schema=OUTPUT_SCHEMA,
    )
    return item, used


def _sightings(
    lessons: Sequence[Lesson], preparing: Collection[tuple[str, ...]]
) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Return how often each kind of place was looked at, and how often a kind of thing was seen at one.

    An episode looks at a place once: what it moved there later is no sighting.
    """
    looks, seen = Counter[str](), Counter[tuple[str, str]]()
    for lesson in lessons:
        told: dict[str, str] = {}
        for act, text in zip(lesson.acts, lesson.texts, strict=True):
            if act.pieces in preparing and len(act.values) == 1:
                place = act.values[0]
                named = set(take_apart(text).values) - {place}
                if place not in told or (named and not told[place]):
                    told[place] = text
        for place, text in told.items():
            looks[class_of(place)] += 1
            named = {class_of(thing) for thing in take_apart(text).values if thing != place}
            seen.update((thing, class_of(place)) for thing in named)
    return looks, seen
