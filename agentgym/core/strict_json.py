"""JSON as the standard has it: Python's reader also takes NaN and infinities, which other readers refuse."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def loads(text: str | bytes) -> Any:
    """Return the value that `text` holds; raises `ValueError` for what is no JSON, `RecursionError` for depth.

    >>> loads('{"box": 1}')
    {'box': 1}
    >>> loads("NaN")
    Traceback (most recent call last):
    ValueError: NaN is no JSON number
    """
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")
