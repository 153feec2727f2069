"""Reading request bodies: what is used, what is let pass, and what is refused because its meaning would be lost.

A field that only hints (a cache key, a service tier) is let pass. One that asks for another answer than the
policy can give is refused unless it says what is done anyway. One that the API does not have is a mistake.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from agentgym.core.errors import UsageError, did_you_mean
from agentgym.core.message import Message
from agentgym.serving.problems import Refusal


class Body(BaseModel):
    """A request body, or a part of one. Types are not converted: `"1"` is no number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


BodyT = TypeVar("BodyT", bound=Body)


class Unsupported(NamedTuple):
    """A field that the policy cannot honour."""

    harmless: tuple[Any, ...]
    """Values, besides null, that ask for nothing special."""
    advice: str


def read_body(
    kind: type[BodyT], data: Mapping[str, Any], hints: frozenset[str], unsupported: Mapping[str, Unsupported]
) -> BodyT:
    """Return the fields of a body that are used; raises `Refusal` naming the field that is wrong."""
    for name, field in unsupported.items():
        value = data.get(name)
        if value is not None and value not in field.harmless:
            raise Refusal(
                400, f"{name}: got {_short(value)}; {field.advice}", param=name, code="unsupported_value"
            )
    dropped = hints | unsupported.keys()
    used = {name: value for name, value in data.items() if name not in dropped}
    for name in used:
        if name not in kind.model_fields:
            known = [*kind.model_fields, *hints, *unsupported]
            raise Refusal(
                400,
                f"Unrecognized request argument supplied: {name}.{did_you_mean(name, known)}",
                param=name,
                code="unknown_parameter",
            )
    return validated(kind, used)


def validated(kind: type[BodyT], data: Any, place: str = "") -> BodyT:
    """Return `data` as a body of this kind; raises `Refusal` for the first field that is wrong."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        field = ".".join([place, *map(str, wrong["loc"])]).strip(".")
        got = "" if wrong["type"] == "missing" else f"; got {_short(wrong['input'])}"
        raise Refusal(400, f"{field or 'body'}: {wrong['msg']}{got}.", param=field or None) from None


def read_message(data: Any, place: str) -> Message:
    """Read a message in OpenAI's shape; raises `Refusal` saying where it is wrong."""
    if not isinstance(data, Mapping):
        raise Refusal(400, f"{place}: expected a message, got {_short(data)}.", param=place)
    try:
        return Message.from_openai(cast("Mapping[str, Any]", data))
    except UsageError as error:
        raise Refusal(400, f"{place}.{error}", param=place) from None


def kind_of(value: Any, otherwise: str | None = None) -> str | None:
    """Return what the `type` of a JSON object says, and None for anything else."""
    if not isinstance(value, Mapping):
        return None
    return cast("Mapping[str, Any]", value).get("type", otherwise)


def arguments_of(text: str, place: str) -> dict[str, Any]:
    """Read the arguments of a tool call, a JSON object as text."""
    call = {"id": "", "function": {"name": "call", "arguments": text}}
    message = read_message({"role": "assistant", "content": "", "tool_calls": [call]}, place)
    return dict(message.tool_calls[0].arguments)


def compact(data: object) -> str:
    """Return JSON without spaces between its parts."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
