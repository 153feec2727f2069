"""A desktop to work at: what it shows as text and picture, and how actions are carried out on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.core.errors import EnvironmentFault, unknown_name_message
from agentgym.environments.browser.grammar import Call
from agentgym.environments.desktop.box import HEIGHT, WIDTH, Box
from agentgym.environments.desktop.holding import HOME
from agentgym.environments.desktop.opening import APPS, Opening
from agentgym.environments.desktop.screen import LEFT, RIGHT, WHEEL_DOWN, WHEEL_UP, Screen, Window
from agentgym.environments.desktop.view import View, view

TEXT_CHARS = 2000
"""Longest text that is typed in one action."""
LONGEST_WAIT_S = 5.0
_APPEARS_S = 60.0
_HIDDEN_S = 2.0
"""An application that shows no window for so long, and does nothing any more, never will."""
_MOST_NOTCHES = 20
_LOOK_S = 0.02


class Impossible(Exception):
    """An action that cannot be done now; the message says why, and what can."""


class Desktop:
    """One desktop, from its first process to its last. Raises `EnvironmentFault` where it breaks."""

    def __init__(self, files: Mapping[str, bytes], openings: Sequence[Opening]) -> None:
        self._box = Box(files)
        self._screen: Screen | None = None
        try:
            self._screen = Screen(self._box.display)
            for opening in openings:
                if not self._open(opening):
                    raise EnvironmentFault(f"{opening.app} opened no window within {_APPEARS_S:g} s.")
            self.seen = self._look()
        except BaseException:
            self.close()
            raise

    @property
    def home(self) -> Path:
        """The user's folder, from outside."""
        return self._box.home

    def picture(self) -> NDArray[np.uint8]:
        """Return what the screen shows: uint8, height x width x 3."""
        return self._glass.picture()

    def windows(self) -> list[Window]:
        """Return the applications' windows."""
        return self._glass.windows()

    def act(self, call: Call) -> str:
        """Do an action, wait until all is at rest, and look; return a note, mostly empty. Raises `Impossible`."""
        note = _HANDS[call.verb](self, *call.arguments) or ""
        self._glass.sync()
        self.seen = self._look()
        return note

    def close(self) -> None:
        """End the desktop; nothing of it stays."""
        if self._screen is not None:
            self._screen.close()
            self._screen = None
        self._box.close()

    # --- actions ------------------------------------------------------------------------------------

    def click_element(self, number: int, button: int = LEFT, times: int = 1) -> None:
        """Click in the middle of an element."""
        elements = self.seen.elements
        if number not in elements:
            raise Impossible(f"There is no element {number} on the screen; it shows 1 to {len(elements)}.")
        element = elements[number]
        if not element.enabled:
            raise Impossible(f"Element {number} ({element.role} {element.name!r:.60}) is disabled.")
        self.click_at(*element.middle, button, times)

    def click_at(self, x: float, y: float, button: int = LEFT, times: int = 1) -> None:
        """Click at a point."""
        self._glass.click(*_point(x, y), button, times)

    def move_to(self, x: float, y: float) -> None:
        """Move the pointer."""
        self._glass.move(*_point(x, y))

    def drag(self, x: float, y: float, to_x: float, to_y: float) -> None:
        """Drag from a point to another."""
        self._glass.drag(*_point(x, y), *_point(to_x, to_y))

    def scroll(self, x: float, y: float, notches: float) -> None:
        """Turn the wheel at a point."""
        if notches != int(notches) or not 0 < abs(notches) <= _MOST_NOTCHES:
            raise Impossible(
                f"The wheel turns by 1 to {_MOST_NOTCHES} whole notches, up or down, got {notches:g}."
            )
        self._glass.click(*_point(x, y), WHEEL_UP if notches > 0 else WHEEL_DOWN, abs(int(notches)))

    def type(self, text: str) -> None:
        """Type a text, key by key."""
        if len(text) > TEXT_CHARS:
            raise Impossible(f"At most {TEXT_CHARS} characters are typed at once, these are {len(text)}.")
        try:
            chords = self._glass.letters(text)
        except ValueError as letter:
            raise Impossible(f"The keyboard has no key for {str(letter)!r}; it types ASCII.") from None
        for number, chord in enumerate(chords):
            self._glass.press(chord)
            if number % 20 == 19:  # applications lose keys that come faster than they read them
                self._settle()

    def key(self, keys: str) -> None:
        """Press a key, or several together."""
        try:
            chord = self._glass.chord(keys)
        except ValueError as name:
            raise Impossible(
                f'There is no key {str(name)!r:.40}; keys are such as "enter", "a", "f2", "ctrl+shift+s".'
            ) from None
        self._glass.press(chord)

    def wait(self, seconds: float) -> None:
        """Wait."""
        if not 0 <= seconds <= LONGEST_WAIT_S:
            raise Impossible(f"One can wait for 0 to {LONGEST_WAIT_S:g} seconds, not {seconds:g}.")
        time.sleep(seconds)

    def launch(self, app: str, *files: str) -> str:
        """Open an application, and files in it."""
        if app not in APPS:
            raise Impossible(unknown_name_message("application", app, APPS))
        for file in files:
            inside = self.home / file
            if ".." in Path(file).parts or Path(file).is_absolute() or not inside.exists():
                raise Impossible(f"There is no file {file!r:.80} in the home folder; paths begin there.")
        return "" if self._open(Opening(app, files)) else f"{app} has opened no window."

    # --- helpers ------------------------------------------------------------------------------------

    @property
    def _glass(self) -> Screen:
        assert self._screen is not None
        return self._screen

    def _open(self, opening: Opening) -> bool:
        """Start an application and wait for its window; False where none comes."""
        before = {window.id for window in self.windows()}
        files = [f"{HOME}/{file}" for file in opening.files] or ([HOME] if opening.app == "pcmanfm" else [])
        deadline = time.monotonic() + _APPEARS_S
        while time.monotonic() < deadline:
            self._box.ask("launch", command=[opening.app, *files])
            window = self._new_window(before, deadline)
            if window is not None:
                self._settle()
                self._glass.activate(window)
                self._settle()
                return True
            # pcmanfm now and then leaves its first window hidden, and shows it when it is started once more.
        return False

    def _new_window(self, before: Container[int], deadline: float) -> Window | None:
        """Wait for a window that was not there before; None where all is at rest and there is none."""
        patience = time.monotonic() + _HIDDEN_S
        at_rest = False
        while True:
            new = [window for window in self.windows() if window.id not in before]
            now = time.monotonic()
            if new or at_rest or now >= deadline:
                return new[-1] if new else None
            at_rest = now >= patience and self._box.ask("settle")["settled"]
            time.sleep(_LOOK_S)

    def _settle(self) -> None:
        self._glass.sync()
        self._box.ask("settle")

    def _look(self) -> View:
        self._settle()
        nodes: list[dict[str, Any]] = self._box.ask("tree")["nodes"]
        return view(self.windows(), nodes)


def _point(x: float, y: float) -> tuple[int, int]:
    if not (0 <= x < WIDTH and 0 <= y < HEIGHT):
        raise Impossible(f"({x:g}, {y:g}) is off the screen, which is {WIDTH} pixels wide and {HEIGHT} high.")
    return int(x), int(y)


_BUTTONS: dict[str, tuple[int, int]] = {"": (LEFT, 1), "double_": (LEFT, 2), "right_": (RIGHT, 1)}


def _with(method: Callable[..., None], count: int, button: int, times: int) -> Callable[..., None]:
    def do(desktop: Desktop, *place: float) -> None:
        method(desktop, *place[:count], button, times)

    return do


_HANDS: dict[str, Callable[..., str | None]] = {
    **{f"{kind}click": _with(Desktop.click_element, 1, *how) for kind, how in _BUTTONS.items()},
    **{f"{kind}click_at": _with(Desktop.click_at, 2, *how) for kind, how in _BUTTONS.items()},
    "move_to": Desktop.move_to,
    "drag": Desktop.drag,
    "scroll": Desktop.scroll,
    "type": Desktop.type,
    "key": Desktop.key,
    "wait": Desktop.wait,
    "launch": Desktop.launch,
}
"""What carries out each action but `done`, which is the episode's."""
