"""The two ways into the shop: as text in process, or through a browser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

import gymnasium as gym

from agentgym.core.env import Observation, Stepping
from agentgym.core.errors import UsageError, did_you_mean
from agentgym.core.spaces import Utf8Text
from agentgym.environments.webshop.app import QUERY_CHARS, Shop
from agentgym.environments.webshop.oracle import Choose, Click, Search, Step
from agentgym.environments.webshop.sessions import Session
from agentgym.environments.webshop.visitor import View, Visitor


@dataclass(frozen=True, slots=True)
class Place:
    """Where a customer is."""

    address: str
    """Of the page, without the host; the same for the same page."""
    unsent: tuple[Any, ...] = ()
    """What besides the page and the session makes a difference: fields filled in and not sent, other tabs."""


class Door(Protocol):
    """A way into the shop, with one customer's session."""

    space: gym.Space[Any]
    """Of its observations."""
    stepping: Stepping
    render_modes: tuple[str, ...]

    def enter(self, session: Session) -> None:
        """Come in by the front page."""
        ...

    def act(self, action: str) -> tuple[bool, str]:
        """Do an action; return whether it was done, and what to tell besides the page."""
        ...

    def look(self, note: str) -> Observation:
        """Return the page, with a note."""
        ...

    def session(self) -> Session:
        """Return what the shop remembers of the customer."""
        ...

    def place(self) -> Place:
        """Return where the customer is."""
        ...

    def admissible(self, instruction: str) -> list[str] | None:
        """Return actions that would do something, where they are known."""
        ...

    def write(self, step: Step) -> str:
        """Return the action that takes an expert's step."""
        ...

    def save(self) -> Any:
        """Return where the customer is as JSON data, besides the session."""
        ...

    def load(self, session: Session, data: Any) -> None:
        """Come back to what `save` returned."""
        ...

    def close(self) -> None:
        """Leave."""
        ...


def canonical(address: str) -> str:
    """Return an address with its query written in one way.

    >>> canonical("/search?q=sun%20hat")
    '/search?q=sun+hat'
    """
    parts = urlsplit(address)
    query = urlencode(parse_qsl(parts.query, keep_blank_values=True))
    return f"{parts.path}?{query}" if query else parts.path


_ACTION = re.compile(r"\s*(search|click)\s*\[(.*)\]\s*", re.DOTALL | re.IGNORECASE)


class TextDoor:
    """WebShop's way: pages as text, and the actions `search[words]` and `click[label]`."""

    stepping = Stepping.INLINE
    render_modes: tuple[str, ...] = ("ansi",)

    def __init__(self, shop: Shop) -> None:
        self.space: gym.Space[Any] = Utf8Text()
        self._shop = shop
        self._key = shop.sessions.open(Session())
        self._visitor = Visitor(shop, self._key)
        self._view = View("/", "", {})

    def enter(self, session: Session) -> None:
        """Come in by the front page."""
        self.load(session, "/")

    def act(self, action: str) -> tuple[bool, str]:
        """Search or click; a label may be written in capitals too."""
        found = _ACTION.fullmatch(action)
        if found is None:
            return False, f"{action.strip()[:60]!r} is no action. Write search[words] or click[label]."
        verb = found[1].lower()
        argument = " ".join(found[2].encode("utf-8", "replace").decode().split())
        if verb == "search":
            if not argument or len(argument) > QUERY_CHARS:
                return False, f"Search for something, in at most {QUERY_CHARS} characters."
            self._view = self._visitor.search(argument)
            return True, ""
        labels = self._view.controls
        label = argument.lower()
        if label not in labels:
            return False, f"There is no {argument[:60]!r} to click here.{did_you_mean(label[:60], labels)}"
        self._view = self._visitor.click(self._view, label)
        return True, ""

    def look(self, note: str) -> str:
        """Return the page's text after the note."""
        return f"{note}\n{self._view.text}" if note else self._view.text

    def session(self) -> Session:
        """Return what the shop remembers of the customer."""
        return self._shop.sessions[self._key]

    def place(self) -> Place:
        """Return the address."""
        return Place(self._view.address)

    def admissible(self, instruction: str) -> list[str]:
        """Return every click, and a search for the instruction's own words."""
        return [f"click[{label}]" for label in self._view.controls] + [f"search[{instruction}]"]

    def write(self, step: Step) -> str:
        """Return the action that takes an expert's step."""
        match step:
            case Search(words):
                return f"search[{words}]"
            case Click(label) | Choose(_, label):
                return f"click[{label}]"

    def save(self) -> str:
        """Return the address."""
        return self._view.address

    def load(self, session: Session, data: Any) -> None:
        """Go to an address with a session; raises `UsageError` for what is no address."""
        if not isinstance(data, str) or not data.startswith("/"):
            raise UsageError(f"{data!r:.80} is no address in the shop.")
        self._shop.sessions[self._key] = session
        self._view = self._visitor.get(data)
        self._shop.sessions[self._key] = session  # as it was, whatever looking at the page has noted

    def close(self) -> None:
        """End the session."""
        self._shop.sessions.close(self._key)
