"""What travels between an environment's server and its client, as JSON.

The messages are OpenEnv's; `docs/decisions/019-environment-servers.md` lists what is added to them. What JSON has no
word for is an object with one key: an image `{"image/png": BASE64}`, any other array `{"$array": [dtype, shape,
BASE64]}`, bytes `{"$bytes": BASE64}`, a tool call `{"$call": {...}}`. Where an agent's arguments hold such an object,
a backslash before its key says that it is meant as it is.
"""

from __future__ import annotations

import io
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any, cast

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agentgym.core.env import Action
from agentgym.core.errors import EnvironmentFault, UsageError
from agentgym.core.spaces import ToolCallSpace, Utf8Text
from agentgym.core.tool import ToolCall, ToolSpec

PNG = "image/png"
CALL_TOOL = "call_tool"
"""`type` of an action that calls a tool."""
LIST_TOOLS = "list_tools"
"""`type` of an action that asks for the tools and does nothing."""

_KEYS = (PNG, "$array", "$bytes", "$call")

AROUND = ("metadata", "tool_name", "result", "error")
"""Fields of an observation that are the protocol's, not the environment's."""


def dumps(value: Any) -> str:
    """Return `value` as ASCII JSON, with NaN and infinities as Python writes them.

    Raises `EnvironmentFault` naming what cannot be sent.
    """
    try:
        return json.dumps(value, separators=(",", ":"), default=_encoded)
    except (TypeError, ValueError) as error:
        raise EnvironmentFault(
            f"What the environment gave cannot be sent: {error}. Keep to JSON data, arrays, bytes and tool calls."
        ) from error


def loads(text: str | bytes) -> Any:
    """Return what `dumps` was given; tuples come back as lists. Raises `ValueError` for anything but JSON."""
    try:
        return json.loads(text, object_hook=_decoded)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError:
        raise
    except Exception as error:  # Pillow and NumPy raise many kinds for what is no picture or array
        raise ValueError(
            f"what stands for a picture, an array, bytes or a call is none: {error!r}"
        ) from error


def _encoded(value: Any) -> Any:
    match value:
        case ToolCall():
            return {"$call": {"name": value.name, "arguments": dict(value.arguments), "id": value.id}}
        case np.generic():
            return cast("np.generic[Any]", value).item()
        case np.ndarray():
            array = cast("NDArray[Any]", value)
            if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3 and array.size:
                return {PNG: b64encode(_png(array)).decode()}
            return {"$array": [array.dtype.str, list(array.shape), b64encode(array.tobytes()).decode()]}
        case bytes():
            return {"$bytes": b64encode(value).decode()}
        case Mapping():
            return dict(cast("Mapping[str, Any]", value))
        case _:
            raise TypeError(f"a value of type {type(value).__name__}")


def _decoded(found: dict[str, Any]) -> Any:
    if len(found) != 1:
        return found
    ((key, value),) = found.items()
    match key, value:
        case ("image/png", str()):
            return _pixels(b64decode(value))
        case ("$array", [str() as kind, shape, str() as data]):
            dtype = np.dtype(kind)
            if dtype.hasobject:
                raise ValueError("an array of Python objects")
            return np.frombuffer(b64decode(data), dtype).reshape(shape).copy()
        case ("$bytes", str()):
            return b64decode(value)
        case ("$call", dict()):
            fields = cast("dict[str, Any]", value)
            return ToolCall(fields["name"], fields["arguments"], fields.get("id", ""))
        case _:
            return {key[1:]: value} if key[:1] == "\\" and _is_special(key) else found


def _is_special(key: str) -> bool:
    return key.lstrip("\\") in _KEYS


def _as_it_is(value: Any) -> Any:
    """Return JSON data so that `loads` takes nothing in it for anything else."""
    match value:
        case dict():
            held = cast("dict[str, Any]", value)
            special = len(held) == 1 and _is_special(str(next(iter(held))))
            return {f"\\{key}" if special else key: _as_it_is(each) for key, each in held.items()}
        case list():
            return [_as_it_is(each) for each in cast("list[Any]", value)]
        case _:
            return value


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _pixels(png: bytes) -> NDArray[np.uint8]:
    from PIL import Image

    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))


def action_to_json(action: Action) -> dict[str, Any]:
    """Return the data of a `step` message.

    >>> action_to_json("look")
    {'text': 'look'}
    """
    if isinstance(action, ToolCall):
        call: dict[str, Any] = {"type": CALL_TOOL, "tool_name": action.name}
        call["arguments"] = _as_it_is(dict(action.arguments))
        return {**call, "call_id": action.id} if action.id else call
    return {"text": action}


def action_from_json(data: Mapping[str, Any]) -> Action:
    """Return the action that a `step` message means; raises `UsageError` where it means none."""
    match {key: value for key, value in data.items() if key != "metadata"}:
        case {"text": str() as text, **rest} if not rest:
            return text
        case {"type": "call_tool", "tool_name": str() as name, **rest}:
            arguments, call_id = rest.pop("arguments", {}), rest.pop("call_id", "")
            if not rest and isinstance(arguments, dict) and isinstance(call_id, str):
                return ToolCall(name, cast("dict[str, Any]", arguments), call_id)
        case _:
            pass
    raise UsageError(
        'An action is {"text": "..."}, or {"type": "call_tool", "tool_name": "...", "arguments": {...}}; got '
        f"{dict(data)!r:.200}."
    )


def tool_to_json(tool: ToolSpec) -> dict[str, Any]:
    """Return a tool in OpenEnv's words."""
    return {"name": tool.name, "description": tool.description, "input_schema": dict(tool.input_schema)}


def tools_from_json(data: Sequence[Mapping[str, Any]]) -> tuple[ToolSpec, ...]:
    """Read a list of `tool_to_json`'s output."""
    return tuple(ToolSpec(one["name"], one.get("description") or "", one["input_schema"]) for one in data)


def space_to_json(space: gym.Space[Any]) -> dict[str, Any]:
    """Return a space as data; raises `UsageError` for a kind that clients could not rebuild."""
    match space:
        case Utf8Text():
            return {"kind": "text", "max_bytes": space.max_bytes}
        case ToolCallSpace():
            return {"kind": "tool_call", "tools": [tool_to_json(tool) for tool in space.tools.values()]}
        case gym.spaces.Dict():
            parts = cast("Mapping[str, gym.Space[Any]]", space.spaces)
            return {"kind": "dict", "spaces": {name: space_to_json(part) for name, part in parts.items()}}
        case gym.spaces.Box():
            bounds = {"low": space.low.min().item(), "high": space.high.max().item()}
            return {"kind": "box", **bounds, "shape": list(space.shape), "dtype": space.dtype.str}
        case _:
            raise UsageError(f"The space {space} cannot be served; use Utf8Text, ToolCallSpace, Dict or Box.")


def space_from_json(data: Mapping[str, Any]) -> gym.Space[Any]:
    """Rebuild a space from `space_to_json`'s output."""
    match data["kind"]:
        case "text":
            return Utf8Text(data["max_bytes"])
        case "tool_call":
            return ToolCallSpace(tools_from_json(data["tools"]))
        case "dict":
            return gym.spaces.Dict({name: space_from_json(part) for name, part in data["spaces"].items()})
        case "box":
            return gym.spaces.Box(
                data["low"], data["high"], tuple(data["shape"]), np.dtype(data["dtype"]).type
            )
        case kind:
            raise EnvironmentFault(
                f"The server has a space of kind {kind!r}, which is not known here; update agentgym."
            )
