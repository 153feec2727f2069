"""What a message tells: the figures, ids, dates and times in it, however the sentence around them is put."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST_FIGURES = 12
"""Whoever is told more at once does not look for the one that was asked for."""

_VALUE = re.compile(r"[A-Za-z]*\d(?:[\w]|[.,:/-](?=\d))*")
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?")


def values(message: str) -> set[str]:
    """Return every value with a digit in a message, in one form each.

    >>> sorted(values("The refund of $1,250.50 goes to card 07 on 2026-03-31, at 9:30; see o417."))
    ['09:30', '1250.5', '2026-03-31', '7', 'O417']
    """
    return {_plain(found) for found in _VALUE.findall(message)}


def told(message: str, wanted: Iterable[str]) -> set[str]:
    """Return which of the wanted values a message tells; none where it tells more than anybody would read."""
    found = values(message)
    if len(found) > MOST_FIGURES:
        return set()
    return {value for value in wanted if _plain(value) in found}


def _plain(value: str) -> str:
    if _THOUSANDS.fullmatch(value):
        value = value.replace(",", "")
    try:
        return f"{float(value):.10g}"
    except ValueError:
        pass
    if re.fullmatch(r"\d:\d\d", value):
        return f"0{value}"
    return value.upper()
