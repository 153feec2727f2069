"""JSON as the standard has it: Python's own reader and writer also know NaN and infinities, which others refuse."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn, cast


def loads(text: str | bytes) -> Any:
    """Return the value that `text` holds; raises `ValueError` for what is no JSON, `RecursionError` for depth.

    >>> loads('{"box": 1}')
    {'box': 1}
    >>> loads("NaN")
    Traceback (most recent call last):
    ValueError: NaN is no JSON number
    """
    return json.loads(text, parse_constant=_refuse)


def dumps(data: Any, indent: int | None = None) -> str:
    """Return data as JSON text; what is no number is null.

    >>> dumps({"lift": [0.5, float("nan")]})
    '{"lift": [0.5, null]}'
    """
    try:
        return json.dumps(data, indent=indent, allow_nan=False)
    except ValueError:  # seldom; so only then everything is looked at
        return json.dumps(_finite(data), indent=indent, allow_nan=False)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in cast("dict[Any, Any]", data).items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in cast("list[Any]", data)]
    return data
