"""How the expert finds its way: routes from the home screen, as what to do on each screen on the way.

A route has no memory. Wherever the phone is, the deepest stage whose screen is shown says what to do; on any other
screen it is one step back, and from another application `open_app`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agentgym.environments.phone.app import Frame
from agentgym.environments.phone.device import Device, Scene
from agentgym.environments.phone.ui.widgets import Screen

Move: TypeAlias = Callable[[Scene], str | None]
"""What to do on a screen; None where what the move needs is not there."""


@dataclass(frozen=True)
class Stage:
    """A screen on the way, and the move there. `args` are those that the screen must have been opened with."""

    screen: str
    move: Move
    args: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def is_at(self, frame: Frame) -> bool:
        """Whether a frame shows this screen."""
        return frame.screen == self.screen and all(
            frame.args.get(name) == value for name, value in self.args.items()
        )


@dataclass(frozen=True)
class Route:
    """A way through one application."""

    app: str
    stages: tuple[Stage, ...]

    def next(self, device: Device) -> str:
        """Return the next action on the way."""
        if device.banner:
            return "tap Dismiss"
        if device.top.app == "system":
            return "back"
        if device.top.app != self.app:
            return f"open_app {self.app}"
        for stage in reversed(self.stages):
            if stage.is_at(device.top):
                return stage.move(device.scene) or "back"
        return "back"

    def arrived(self, device: Device) -> bool:
        """Whether the last screen of the way is shown."""
        return device.top.app == self.app and self.stages[-1].is_at(device.top)


def tap(name: str) -> Move:
    """Tap an element, scrolling to it where it is not shown."""
    return lambda scene: _act(scene, "tap", name)


def hold(name: str) -> Move:
    """Hold an element, scrolling to it where it is not shown."""
    return lambda scene: _act(scene, "long_press", name)


def slide(name: str, value: int) -> Move:
    """Bring a slider to a value, by swipes of ten where they lead there."""

    def move(scene: Scene) -> str | None:
        found = scene.listing.named(name)
        if not found:
            return _act(scene, "tap", name)
        current, bounds = int(found[0].node.text), found[0].node.bounds
        if (value - current) % 10:
            x = bounds.left + (value * (bounds.right - bounds.left) + 99) // 100
            return f"tap {min(x, bounds.right - 1)} {bounds.centre[1]}"
        return scene.listing.command(f"swipe {'right' if value > current else 'left'}", found[0])

    return move


def fill(fields: Mapping[str, str], then: Move) -> Move:
    """Type into fields, then go on. Where another field was typed in, the form is left and opened anew."""

    def move(scene: Scene) -> str | None:
        frame = scene.context.frame
        for label, wanted in fields.items():
            if scene.context.typed(label) != wanted:
                return f"type {_quoted(wanted)}" if frame.focus == label else _act(scene, "tap", label)
        return None if set(frame.fields) - set(fields) else then(scene)

    return move


def _quoted(text: str) -> str:
    plain = text and text == text.strip() and text[0] not in "\"'"
    return text if plain else f'"{text}"'


def _act(scene: Scene, verb: str, name: str) -> str | None:
    found = scene.listing.named(name)
    if found:
        return scene.listing.command(verb, found[0])
    row = _row_called(scene.screen, name)
    if row is None:
        return None
    return "swipe up" if row >= scene.layout.first else "swipe down"


def _row_called(screen: Screen, name: str) -> int | None:
    """Return the row of a screen that has a name, shown or not."""
    for number, row in enumerate(screen.rows):
        if name in (getattr(row, "title", None), getattr(row, "label", None)):
            return number
    return None
