"""What a server's actions and observations look like, as JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe_action(space: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an action, given its space as `space_to_json` writes it."""
    properties: dict[str, Any] = {"metadata": {"type": "object"}}
    if space["kind"] == "text":
        properties["text"] = {"type": "string", "description": "What to do, in words."}
        needed = ["text"]
    else:
        names = [tool["name"] for tool in space["tools"]]
        properties["type"] = {"const": "call_tool"}
        properties["tool_name"] = {"type": "string", "enum": names}
        properties["arguments"] = {"type": "object", "description": "As the tool's input_schema says."}
        properties["call_id"] = {"type": "string"}
        needed = ["type", "tool_name"]
    return _object("Action", properties, needed, additionalProperties=False)


def describe_observation(space: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an observation, given its space as `space_to_json` writes it."""
    properties: dict[str, Any] = {
        "text": {"type": "string"},
        "metadata": {
            "type": "object",
            "description": "`info`, `terminated`, `truncated` and `state_key`; after a reset `task` and `tools` too.",
        },
    }
    if "image" in space.get("spaces", {}):
        png = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}
        properties["image"] = _object("Image", {"image/png": png}, ["image/png"])
    return _object("Observation", properties, ["text", "metadata"])


def describe_state() -> dict[str, Any]:
    """Return the schema of a session's state."""
    properties = {
        "episode_id": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "step_count": {"type": "integer", "minimum": 0},
    }
    return _object("State", properties, [])


def _object(title: str, properties: Mapping[str, Any], required: list[str], **more: Any) -> dict[str, Any]:
    return {"title": title, "type": "object", "properties": dict(properties), "required": required, **more}
