"""What every export takes: the episodes of a run, and what is known of who played them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from agentgym import __version__
from agentgym.core.message import Message
from agentgym.core.trace import Episode, Turn


class Source(NamedTuple):
    """Where exported episodes come from."""

    run: str
    """The run's id."""
    agent: str
    """The agent's name."""
    model: str = ""
    """The model behind it, where it has a name of its own."""
    created: str = "1970-01-01T00:00:00+00:00"
    """When the run began; UTC, ISO 8601."""
    versions: Mapping[str, Any] = {"agentgym-harness": __version__}
    """Versions of what it was played with."""

    @property
    def version(self) -> str:
        """Of agentgym."""
        return str(self.versions.get("agentgym-harness") or __version__)


def text_of(observation: Any) -> str:
    """Return the text of an observation; a picture is told by its size."""
    if observation is None or isinstance(observation, str):
        return readable(observation or "")
    if not isinstance(observation, Mapping):
        return readable(str(observation))
    parts = cast("Mapping[str, Any]", observation)
    shape = getattr(parts.get("image"), "shape", None)
    picture = f"[image {shape[1]}x{shape[0]}]" if shape is not None and len(shape) > 1 else ""
    return readable("\n".join(part for part in (str(parts.get("text", "")), picture) if part))


def readable(text: str) -> str:
    """Return a text without lone surrogates, for formats that are UTF-8."""
    return text.encode("utf-8", "replace").decode()


def answer_of(turn: Turn) -> str:
    """Return what the agent said at a turn: its last message, or else its action as text."""
    for message in reversed(turn.messages_delta):
        if message.role == "assistant":
            return readable(message.content)
    return readable(turn.action) if isinstance(turn.action, str) else ""


def told_before(episode: Episode) -> tuple[Message, ...]:
    """Return the system messages that the conversation begins with."""
    first = episode.turns[0].messages_delta if episode.turns else ()
    return tuple(message for message in first if message.role == "system")
