"""A desktop's screen, mouse and keyboard, over X's own protocol: pictures, windows, and events as XTEST gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from Xlib import XK, X
from Xlib.display import Display
from Xlib.error import ConnectionClosedError, DisplayError, XError
from Xlib.ext import xtest
from Xlib.protocol.event import ClientMessage

from agentgym.core.errors import EnvironmentFault
from agentgym.environments.desktop.box import HEIGHT, WIDTH

LEFT, RIGHT, WHEEL_UP, WHEEL_DOWN = 1, 3, 4, 5
_NAMES = {
    "ctrl": "Control_L",
    "control": "Control_L",
    "alt": "Alt_L",
    "shift": "Shift_L",
    "super": "Super_L",
    "enter": "Return",
    "esc": "Escape",
    "backspace": "BackSpace",
    "pageup": "Prior",
    "pagedown": "Next",
    "pgup": "Prior",
    "pgdn": "Next",
    "del": "Delete",
    "\n": "Return",
    "\t": "Tab",
}
_BY_LOWER = {
    name.lower(): name
    for name in (
        "Return",
        "Escape",
        "Tab",
        "Delete",
        "Insert",
        "Home",
        "End",
        "Up",
        "Down",
        "Left",
        "Right",
        "Menu",
    )
}
_BUTTON_STEPS = 8


@dataclass(frozen=True, slots=True)
class Window:
    """A window of an application."""

    id: int
    title: str
    active: bool


class Screen:
    """A connection to one X server. Raises `EnvironmentFault` where the server is gone."""

    def __init__(self, display: int) -> None:
        try:
            self._display: Any = Display(f":{display}")
        except (DisplayError, OSError) as error:
            raise EnvironmentFault(f"The X server of the desktop does not answer: {error}.") from error
        self._root: Any = self._display.screen().root

    def close(self) -> None:
        """End the connection."""
        try:
            self._display.close()
        except (ConnectionClosedError, OSError):
            return  # it ended with the server

    def picture(self) -> NDArray[np.uint8]:
        """Return what the screen shows: uint8, height x width x 3."""
        image = self._try(lambda: self._root.get_image(0, 0, WIDTH, HEIGHT, X.ZPixmap, 0xFFFFFFFF))
        pixels = np.frombuffer(image.data, np.uint8).reshape(HEIGHT, WIDTH, 4)
        return np.ascontiguousarray(pixels[:, :, 2::-1])

    def windows(self) -> list[Window]:
        """Return the applications' windows, in the order in which they were opened."""

        def read() -> list[Window]:
            active = self._property(self._root, "_NET_ACTIVE_WINDOW")
            listed = self._property(self._root, "_NET_CLIENT_LIST")
            found: list[Window] = []
            for number in () if listed is None else listed:
                try:
                    window = self._display.create_resource_object("window", number)
                    name = self._property(window, "_NET_WM_NAME") or window.get_wm_name()
                except XError:
                    continue  # it closed meanwhile
                title = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name or "")
                found.append(Window(int(number), title, active is not None and number in active))
            return found

        return self._try(read)

    def activate(self, window: Window) -> None:
        """Bring a window to the front, and give it the keyboard."""
        atom = self._display.intern_atom("_NET_ACTIVE_WINDOW")
        event = ClientMessage(window=window.id, client_type=atom, data=(32, [2, 0, 0, 0, 0]))
        mask = X.SubstructureRedirectMask | X.SubstructureNotifyMask
        self._try(lambda: self._root.send_event(event, event_mask=mask))
        self.sync()

    def sync(self) -> None:
        """Return when the server has done all that it was asked."""
        self._try(self._display.sync)

    # --- mouse --------------------------------------------------------------------------------------

    def move(self, x: int, y: int) -> None:
        """Move the pointer."""
        self._fake(X.MotionNotify, x=x, y=y)

    def click(self, x: int, y: int, button: int = LEFT, times: int = 1) -> None:
        """Click at a point."""
        self.move(x, y)
        self.sync()
        for _ in range(times):
            self._fake(X.ButtonPress, button)
            self._fake(X.ButtonRelease, button)

    def drag(self, x: int, y: int, to_x: int, to_y: int) -> None:
        """Press at a point, move to another in a few steps, and let go there."""
        self.move(x, y)
        self._fake(X.ButtonPress, LEFT)
        for step in range(1, _BUTTON_STEPS + 1):
            self.move(x + (to_x - x) * step // _BUTTON_STEPS, y + (to_y - y) * step // _BUTTON_STEPS)
            self.sync()
        self._fake(X.ButtonRelease, LEFT)

    # --- keyboard -----------------------------------------------------------------------------------

    def chord(self, keys: str) -> list[int]:
        """Return the key codes of keys held together, such as `ctrl+shift+s`; raises `ValueError` naming one that is none."""
        names = ["+"] if keys == "+" else keys.split("+")
        codes: list[int] = []
        for name in names:
            code, shift = self._code(name.strip() or name)
            codes += [*([self._code("shift")[0]] if shift else []), code]
        return list(dict.fromkeys(codes))

    def letters(self, text: str) -> list[list[int]]:
        """Return the chord for each character; raises `ValueError` naming one that the keyboard has no key for."""
        chords: list[list[int]] = []
        for letter in text:
            code, shift = self._code(letter)
            chords.append([*([self._code("shift")[0]] if shift else []), code])
        return chords

    def press(self, chord: list[int]) -> None:
        """Press keys one after another, and let them go in the opposite order."""
        for code in chord:
            self._fake(X.KeyPress, code)
        for code in reversed(chord):
            self._fake(X.KeyRelease, code)

    # --- helpers ------------------------------------------------------------------------------------

    def _code(self, name: str) -> tuple[int, bool]:
        """Return a key's code, and whether it needs Shift."""
        known = _NAMES.get(name.lower()) or _BY_LOWER.get(name.lower())
        if known is None and len(name) > 1 and name[0] in "fF" and name[1:].isdigit():
            known = name.upper()
        if known is None and name == "space":
            known = name
        symbol = (
            XK.string_to_keysym(known) if known else ord(name) if len(name) == 1 and " " <= name <= "~" else 0
        )
        for code, index in sorted(self._display.keysym_to_keycodes(symbol)) if symbol else ():
            if index < 2:
                return code, index == 1
        raise ValueError(name)

    def _fake(self, event: int, detail: int = 0, **place: int) -> None:
        self._try(lambda: xtest.fake_input(self._display, event, detail, **place))

    def _property(self, window: Any, name: str) -> Any:
        found = window.get_full_property(self._display.intern_atom(name), X.AnyPropertyType)
        return None if found is None else found.value

    def _try(self, call: Any) -> Any:
        try:
            return call()
        except (ConnectionClosedError, OSError) as error:
            raise EnvironmentFault(
                f"The X server of the desktop is gone ({error}); reset to begin anew."
            ) from error
