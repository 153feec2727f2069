"""A real Android device or emulator: what is on its screen, and what is done there, by `uiautomator` and `input`."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from agentgym.core.errors import EnvironmentFault, UsageError, did_you_mean
from agentgym.environments.phone.actions import Command, Refusal
from agentgym.environments.phone.adb_wire import AdbServer
from agentgym.environments.phone.app import LONGEST_TEXT
from agentgym.environments.phone.ui.hierarchy import read_hierarchy
from agentgym.environments.phone.ui.listing import Listing, read_screen
from agentgym.environments.phone.ui.node import Bounds, Node

_DUMP = "/sdcard/agentgym_window.xml"
_DUMPS = 3
"""Tries at a hierarchy: `uiautomator` fails while something on the screen moves."""
_HOLD_MS, _SWIPE_MS = 900, 300
_PIECES = re.compile("(?<=%)(?=s)")
"""`input text` reads `%s` as a blank, and knows no other way to write it: one that is meant goes in two pieces."""
_DELETE = 67
"""KEYCODE_DEL."""
_KEYS = {"back": 4, "home": 3}


class AdbDevice:
    """One device behind an `adb` server; implements the same actions as the phone in process.

    Raises `EnvironmentFault` where the device does not do what it is told.
    """

    def __init__(self, server: AdbServer) -> None:
        self._server = server
        self._packages: list[str] = []
        width, height = self._size()
        self.screen = Bounds(0, 0, width, height)
        self._gestures: Mapping[str, Callable[[Command, Listing], None]] = {
            "tap": self._tap,
            "long_press": self._long_press,
            "swipe": self._swipe,
            "type": self._type,
            "back": self._key,
            "home": self._key,
            "open_app": self._open_app,
            "wait": self._wait,
        }

    def hierarchy(self) -> str:
        """Return the screen as `uiautomator` dumps it."""
        said = ""
        for _ in range(_DUMPS):
            said = self._server.shell(f"uiautomator dump {_DUMP}")
            if "dumped to" in said:
                return self._server.pull(_DUMP).decode("utf-8", "replace")
        raise EnvironmentFault(f"uiautomator gave no hierarchy in {_DUMPS} tries: {said.strip()[:200]!r}.")

    def read(self) -> tuple[Node, Listing]:
        """Return what is on the screen."""
        xml = self.hierarchy()
        try:
            root = read_hierarchy(xml)
        except UsageError as error:
            raise EnvironmentFault(f"The device's uiautomator wrote what cannot be read. {error}") from error
        return root, read_screen(root)

    def screenshot(self) -> NDArray[np.uint8]:
        """Return a picture of the screen (uint8, height x width x 3); needs Pillow."""
        from PIL import Image, UnidentifiedImageError

        data = self._server.exec_out("screencap -p")
        try:
            return np.array(Image.open(io.BytesIO(data)).convert("RGB"))
        except (UnidentifiedImageError, OSError) as error:
            raise EnvironmentFault(f"screencap wrote no picture: {data[:80]!r}.") from error

    def shell(self, command: str) -> str:
        """Run a command in the device's shell, and return what it writes."""
        return self._server.shell(command)

    def do(self, command: Command, shown: Listing) -> None:
        """Carry out an action on the screen that was `shown`; raises `Refusal` where it cannot be done."""
        self._gestures[command.verb](command, shown)

    # --- gestures -----------------------------------------------------------------------------------

    def _tap(self, command: Command, shown: Listing) -> None:
        self._input("tap", *self._point(command, shown))

    def _long_press(self, command: Command, shown: Listing) -> None:
        point = self._point(command, shown)
        self._input("swipe", *point, *point, _HOLD_MS)

    def _swipe(self, command: Command, shown: Listing) -> None:
        x, y = self.screen.centre if command.target is None else self._point(command, shown)
        if command.end is not None:
            right, down = shown.point(command.end, self.screen)
        else:
            along, across = self.screen.bottom // 4, self.screen.right // 4
            offsets = {"up": (0, -along), "down": (0, along), "left": (-across, 0), "right": (across, 0)}
            right, down = (at + by for at, by in zip((x, y), offsets[command.direction], strict=True))
        right = min(max(right, 0), self.screen.right - 1)
        down = min(max(down, 0), self.screen.bottom - 1)
        self._input("swipe", x, y, right, down, _SWIPE_MS)

    def _type(self, command: Command, shown: Listing) -> None:
        text = command.text
        if len(text) > LONGEST_TEXT:
            raise Refusal(f"A field takes {LONGEST_TEXT} characters at most; this text has {len(text)}.")
        if not text.isascii() or "\n" in text:
            raise Refusal("Android's `input text` types ASCII characters in one line only.")
        focused = [e.node for e in shown.elements if e.node.is_field and e.node.focused]
        if command.target is not None:
            self._tap(command, shown)
            focused = [_element(command, shown)]
        if not focused:
            raise Refusal("No field has the focus: tap one first, then type.")
        if focused[0].text:  # put in place of what stands there
            self._input("keyevent", "KEYCODE_MOVE_END", *[_DELETE] * len(focused[0].text))
        for piece in _PIECES.split(text) if text else ():
            self._input("text", shlex.quote(piece.replace(" ", "%s")))

    def _key(self, command: Command, shown: Listing) -> None:
        self._input("keyevent", _KEYS[command.verb])

    def _open_app(self, command: Command, shown: Listing) -> None:
        package = self._package(command.text)
        said = self.shell(f"monkey -p {shlex.quote(package)} -c android.intent.category.LAUNCHER 1")
        if "No activities found" in said or "aborted" in said:
            raise Refusal(f"{package} cannot be opened from the home screen.")

    def _wait(self, command: Command, shown: Listing) -> None:
        self.shell("sleep 1")

    # --- helpers ------------------------------------------------------------------------------------

    def _input(self, *words: str | int) -> None:
        said = self.shell(f"input {' '.join(map(str, words))}").strip()
        if "error" in said.lower() or "exception" in said.lower():
            raise EnvironmentFault(f"`input {words[0]}` failed on the device: {said[:200]!r}.")

    def _point(self, command: Command, shown: Listing) -> tuple[int, int]:
        if command.target is None:
            raise Refusal(f"`{command.verb}` needs an element or a point.")
        return shown.point(command.target, self.screen)

    def _size(self) -> tuple[int, int]:
        said = self._server.shell("wm size")
        sizes = re.findall(r"(\d+)x(\d+)", said)
        if not sizes:
            raise EnvironmentFault(f"`wm size` on the device gave no size: {said[:200]!r}.")
        width, height = sizes[-1]  # an override stands below the physical size
        return int(width), int(height)

    def _package(self, name: str) -> str:
        """Return the package with a name, or whose last part is the name; raises `Refusal`."""
        if not self._packages:
            lines = self.shell("pm list packages").splitlines()
            self._packages = [line.removeprefix("package:").strip() for line in lines if line]
        wanted = name.casefold().replace(" ", "")
        if wanted in self._packages:
            return wanted
        last = {package.rpartition(".")[2]: package for package in reversed(self._packages)}
        if wanted in last:
            return last[wanted]
        guess = did_you_mean(wanted[:40], [*last, *self._packages])
        raise Refusal(f"No application is called {name[:40]!r}.{guess} Give its package.")


def _element(command: Command, shown: Listing) -> Node:
    if not isinstance(command.target, int | str):
        raise Refusal("Tap a field first, then type.")
    node = shown.find(command.target).node
    if not node.is_field:
        raise Refusal("That is no field to type in.")
    return node
