"""Observations that are more than a text, as bytes: nested plain data and numpy arrays, without pickle.

Layout before compression: length of the header (4 bytes, little-endian), the header (JSON), then the
arrays one after another in numpy's `.npy` format. In the header a container is an object with one key
that says its kind (`list`, `tuple`, `dict`), and `{"array": n}` stands for the n-th array.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from agentgym.core.errors import StoreFault, UsageError

_LENGTH = struct.Struct("<I")


def dump_value(value: Any) -> bytes:
    """Return `value` as bytes that `load_value` reads back exactly.

    Takes None, booleans, ints, floats, strings, lists, tuples, dicts with string keys, numpy arrays and
    numpy scalars; raises `UsageError` naming the place of anything else.
    """
    arrays: list[NDArray[Any]] = []
    header = json.dumps(_to_tree(value, "value", arrays)).encode()
    stream = io.BytesIO()
    stream.write(_LENGTH.pack(len(header)))
    stream.write(header)
    for array in arrays:
        npy.write_array(stream, array, allow_pickle=False)
    return zlib.compress(stream.getbuffer(), 1)


def load_value(data: bytes) -> Any:
    """Return what `dump_value` was given; raises `StoreFault` when the bytes are damaged."""
    try:
        stream = io.BytesIO(zlib.decompress(data))
        (length,) = _LENGTH.unpack(stream.read(_LENGTH.size))
        tree = json.loads(stream.read(length))
        arrays: list[NDArray[Any]] = []
        while stream.tell() < stream.getbuffer().nbytes:
            arrays.append(npy.read_array(stream, allow_pickle=False))
        return _from_tree(tree, arrays)
    except (zlib.error, struct.error, ValueError, LookupError, TypeError) as error:
        raise StoreFault(f"A stored observation of {len(data)} bytes is damaged: {error}.") from error


def _to_tree(value: Any, place: str, arrays: list[NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(cast(Any, value))
        if array.dtype.hasobject:
            raise UsageError(f"{place} is a numpy array of Python objects; store numbers or text instead.")
        arrays.append(array)
        return {"array" if isinstance(value, np.ndarray) else "scalar": len(arrays) - 1}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        items = cast("list[Any] | tuple[Any, ...]", value)
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_to_tree(item, f"{place}[{n}]", arrays) for n, item in enumerate(items)]}
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        for key in entries:
            if not isinstance(key, str):
                raise UsageError(f"{place} has the key {key!r}; the keys of an observation are strings.")
        return {"dict": {key: _to_tree(item, f"{place}[{key!r}]", arrays) for key, item in entries.items()}}
    raise UsageError(
        f"{place} is a {type(value).__name__}, which the store cannot keep; use plain data and numpy arrays."
    )


def _from_tree(tree: Any, arrays: Sequence[Any]) -> Any:
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = cast("dict[str, Any]", tree).items()
    match kind:
        case "array":
            return arrays[content]
        case "scalar":
            return arrays[content][()]
        case "list":
            return [_from_tree(item, arrays) for item in content]
        case "tuple":
            return tuple(_from_tree(item, arrays) for item in content)
        case "dict":
            return {key: _from_tree(item, arrays) for key, item in content.items()}
        case _:
            raise ValueError(f"unknown kind {kind!r}")
