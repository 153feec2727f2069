"""The shop through a browser: its server on loopback, its pages in Chromium."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import numpy as np

from agentgym.core.env import Observation, Stepping
from agentgym.core.errors import UsageError
from agentgym.core.spaces import Utf8Text
from agentgym.environments.browser.egress import Egress
from agentgym.environments.browser.session import BrowserSession
from agentgym.environments.browser.tree import Element
from agentgym.environments.webshop.app import COOKIE, Shop
from agentgym.environments.webshop.doors import Place, canonical
from agentgym.environments.webshop.oracle import Choose, Click, Search, Step
from agentgym.environments.webshop.server import serve
from agentgym.environments.webshop.sessions import Session

SIZE = (800, 600)
"""Of the window, in pixels."""

_UNSENT = """() => [...document.querySelectorAll("input:not([type=hidden])")].flatMap(
  (e, n) => e.value === e.defaultValue ? [] : [[n, e.value]])"""
_FILL = """values => [...document.querySelectorAll("input:not([type=hidden])")].forEach(
  (e, n) => { for (const [at, value] of values) if (at === n) e.value = value; })"""

_FOCUS = """() => {
  const e = document.activeElement;
  return !e || e === document.body ? [] : [[...document.querySelectorAll("*")].indexOf(e), e.selectionStart ?? null]; }"""
_SET_FOCUS = """([at, caret]) => {
  const e = document.querySelectorAll("*")[at];
  e?.focus({preventScroll: true});
  if (e && caret !== null) e.setSelectionRange(caret, caret); }"""


class BrowserDoor:
    """A customer with a browser. Actions and pages are those of `agentgym.environments.browser`."""

    stepping = Stepping.THREAD
    render_modes: tuple[str, ...] = ("ansi", "rgb_array")

    def __init__(self, shop: Shop, *, pictures: bool) -> None:
        text = Utf8Text()
        image = gym.spaces.Box(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
        self.space: gym.Space[Any] = gym.spaces.Dict({"text": text, "image": image}) if pictures else text
        self._pictures = pictures
        self._shop = shop
        self._base = serve(shop)
        self._key = shop.sessions.open(Session())
        self._browser = BrowserSession(Egress(self._base), size=SIZE)

    def enter(self, session: Session) -> None:
        """Come in by the front page, in a window as new."""
        self.load(session, [["/"], 0, [], []])

    def act(self, action: str) -> tuple[bool, str]:
        """Do an action of the browser's."""
        done = self._browser.act(action)
        return done.valid, "\n".join(done.notes)

    def look(self, note: str) -> Observation:
        """Return the page's accessibility tree after the note, with a picture where they are wanted."""
        seen = self._browser.look().text
        text = f"{note}\n{seen}" if note else seen
        return {"text": text, "image": self._browser.screenshot()} if self._pictures else text

    def session(self) -> Session:
        """Return what the shop remembers of the customer."""
        return self._shop.sessions[self._key]

    def place(self) -> Place:
        """Return the page in front, the other tabs, what is filled in, and where the keyboard is."""
        addresses, current = self._browser.tabs()
        unsent: list[Any] = self._browser.evaluate(_UNSENT)
        focus: list[Any] = self._browser.evaluate(_FOCUS)
        others = [canonical(each) for n, each in enumerate(addresses) if n != current]
        apart = (unsent, focus, [current, *others]) if unsent or focus or others else ()
        return Place(canonical(addresses[current]), apart)

    def admissible(self, instruction: str) -> None:
        """Nothing is listed: what can be done with a mouse and a keyboard has no end."""
        del instruction

    def write(self, step: Step) -> str:
        """Return the action that takes an expert's step, or the first of those that do."""
        elements = self._browser.look().elements
        match step:
            case Search(words):
                if any(words == value for _, value in self._browser.evaluate(_UNSENT)):
                    return f"click({_find(elements.values(), 'button', 'Search')})"
                return f"fill({_find(elements.values(), 'textbox', 'Search')}, {json.dumps(words)})"
            case Click(label):
                return f"click({_find(elements.values(), 'link button', label)})"
            case Choose(option, value):
                box = _find(elements.values(), "combobox", option)
                if box:
                    return f"select_option({box}, {json.dumps(value)})"
                return f"click({_find(elements.values(), 'link', value)})"

    def save(self) -> Any:
        """Return the tabs' addresses, which is in front, what is filled in there, and where the keyboard is."""
        addresses, current = self._browser.tabs()
        return [addresses, current, self._browser.evaluate(_UNSENT), self._browser.evaluate(_FOCUS)]

    def load(self, session: Session, data: Any) -> None:
        """Open the pages again in a window as new; raises `UsageError` for what `save` did not return."""
        try:
            addresses, current, unsent, focus = data
            places = [str(address) for address in addresses]
        except (TypeError, ValueError):
            raise UsageError(f"{data!r:.80} is no place in the shop for a browser.") from None
        self._browser.renew()
        self._browser.set_cookies([{"name": COOKIE, "value": self._key, "url": self._base}])
        self._shop.sessions[self._key] = session
        self._browser.open("/")
        for n, address in enumerate(places):
            if n:
                self._browser.act("new_tab()")
            if address != "/":
                self._browser.act(f"goto({json.dumps(address)})")
        self._browser.act(f"tab_focus({current})")
        self._browser.evaluate(_FILL, unsent)
        if focus:
            self._browser.evaluate(_SET_FOCUS, focus)
        self._browser.look()  # what actions name is what was seen last
        self._shop.sessions[self._key] = session  # as it was, whatever looking at the pages has noted

    def close(self) -> None:
        """Close the window and end the session."""
        self._browser.close()
        self._shop.sessions.close(self._key)


def _find(elements: Any, roles: str, name: str) -> int:
    """Return the number of the element with this name and one of the roles; 0 where there is none."""
    found: list[Element] = [each for each in elements if each.role in roles.split() and each.name == name]
    return found[0].id if found else 0
