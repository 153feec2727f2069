"""How ALFWorld calls what its problem files identify: `mug_bar__plus_00_dot_40` is "mug 2"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

_BAR = "_bar_"


def display_names(identifiers: Iterable[str]) -> dict[str, str]:
    """Return the name of each identifier.

    The class is what stands before the first bar, with "basin" added where the identifier has that word
    anywhere (`sink_bar_..._bar_sinkbasin` is a sink basin). Within a class the identifiers are numbered from
    the end of their sorted order. An identifier without a bar has no number, but a blank at its end.

    >>> display_names(["mug_bar_1", "mug_bar_2", "sink_bar_3_bar_sinkbasin"])
    {'mug_bar_1': 'mug 2', 'mug_bar_2': 'mug 1', 'sink_bar_3_bar_sinkbasin': 'sinkbasin 1'}
    """
    ordered = sorted(set(identifiers))
    left = Counter(_kind(identifier) for identifier in ordered if _BAR in identifier)
    names: dict[str, str] = {}
    for identifier in ordered:
        if _BAR not in identifier:
            names[identifier] = f"{identifier} "
            continue
        kind = _kind(identifier)
        names[identifier] = f"{kind} {left[kind]}"
        left[kind] -= 1
    return names


def _kind(identifier: str) -> str:
    kind = identifier.split(_BAR, 1)[0]
    return kind + "basin" if "basin" in identifier else kind
