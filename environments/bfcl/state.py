"""The state of simulated APIs as plain data: what tells two of them apart, and nothing else."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from typing import Any, cast

_NOT_STATE = {"_api_description", "_last_modified"}
"""Attributes that nothing an API does depends on: prose, and the time of day."""


def plain(value: object) -> Any:
    """Return JSON data that is equal exactly for states that behave alike.

    The order of mappings counts, for APIs list what they hold in it; so does which of two equal objects is meant,
    for directories contain their parents. Generators count with where they are.
    """
    return _plain(value, {})


def _plain(value: object, seen: dict[int, int]) -> Any:
    if isinstance(value, random.Random):
        return ["generator", hashlib.blake2b(repr(value.getstate()).encode(), digest_size=8).hexdigest()]
    if isinstance(value, Mapping):
        items = cast(Mapping[object, object], value).items()
        return [["mapping"], *([_plain(key, seen), _plain(each, seen)] for key, each in items)]
    if isinstance(value, list | tuple):
        return [["list"], *(_plain(each, seen) for each in cast(list[object], value))]
    if isinstance(value, set):
        return [["set"], *sorted(repr(each) for each in cast(set[object], value))]
    if not hasattr(value, "__dict__"):
        return repr(value)  # 1, 1.0, True and "1" are shown differently, and so must differ
    if id(value) in seen:
        return ["object", seen[id(value)]]
    seen[id(value)] = len(seen)
    attributes = {name: each for name, each in vars(value).items() if name not in _NOT_STATE}
    return [type(value).__name__, _plain(attributes, seen)]
