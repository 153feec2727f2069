"""A view hierarchy as a picture, with Pillow and the font that comes with it.

Each node is drawn from its attributes, inside its bounds: what the picture shows stands where the hierarchy says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from agentgym.core.errors import UsageError
from agentgym.environments.phone.ui.node import HEIGHT, WIDTH, Bounds, Node
from agentgym.environments.phone.ui.widgets import MARGIN, wrap

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError as error:
    raise UsageError(
        "Pictures of the phone need Pillow: pip install 'agentgym-harness[phone]', or leave `pictures` out."
    ) from error

PAPER, INK, FAINT, LINE, ACCENT, SHADE = "#fbfaf7", "#1d2430", "#667085", "#e3e1da", "#2a62c9", "#8b8a86"
_DIM = 0.45
"""What is left of the brightness below a dialog."""


def draw(root: Node, below: Node | None = None, message: str = "") -> NDArray[np.uint8]:
    """Return the picture of a screen (uint8, height x width x 3), above what lies dimmed `below` a dialog.

    `message` is shown for a moment near the lower edge; no hierarchy has it.
    """
    if below is None:
        picture = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    else:
        picture = Image.fromarray((draw(below) * _DIM).astype(np.uint8))
    brush = _Brush(ImageDraw.Draw(picture))
    for node in root.walk():
        _PAINTERS.get(node.style, _nothing)(brush, node)
    if message:
        brush.toast(message)
    return np.array(picture)


class _Brush:
    """Draws texts and shapes cut to the bounds they belong to."""

    def __init__(self, canvas: ImageDraw.ImageDraw) -> None:
        self._canvas = canvas
        canvas.fontmode = "L"

    def box(self, bounds: Bounds, colour: str, radius: int = 0) -> None:
        """Fill a rectangle."""
        self._canvas.rounded_rectangle(
            (bounds.left, bounds.top, bounds.right - 1, bounds.bottom - 1), radius, colour
        )

    def text(self, bounds: Bounds, text: str, size: int, colour: str, *, centred: bool = False) -> None:
        """Write one line in the middle of the height of `bounds`, cut where it is too long."""
        shown = _fitting(text, size, bounds.right - bounds.left)
        x = (bounds.left + bounds.right - _width(shown, size)) // 2 if centred else bounds.left
        y = (bounds.top + bounds.bottom) // 2
        self._canvas.text((x, y), shown, colour, _font(size), anchor="lm")

    def toast(self, message: str) -> None:
        """Show a message near the lower edge."""
        bounds = Bounds(24, HEIGHT - 56, WIDTH - 24, HEIGHT - 20)
        self.box(bounds, "#30343c", 16)
        self.text(Bounds(36, bounds.top, WIDTH - 36, bounds.bottom), message, 13, "#ffffff", centred=True)


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def _width(text: str, size: int) -> int:
    return int(_font(size).getlength(text)) + 1


@lru_cache(maxsize=4096)
def _fitting(text: str, size: int, width: int) -> str:
    """Return as much of a text as fits in `width` pixels, with an ellipsis where it was cut."""
    text = " ".join(text[:200].split())
    if _width(text, size) <= width:
        return text
    while text and _width(f"{text}...", size) > width:
        text = text[:-1]
    return f"{text}..."


def _inner(bounds: Bounds, left: int = 0, top: int = 0, right: int = 0, bottom: int = 0) -> Bounds:
    return Bounds(bounds.left + left, bounds.top + top, bounds.right - right, bounds.bottom - bottom)


def _nothing(brush: _Brush, node: Node) -> None:
    """Views that only hold others are not drawn themselves."""


def _sheet(brush: _Brush, node: Node) -> None:
    brush.box(node.bounds, PAPER, 14 if node.style == "dialog" else 0)


def _status(brush: _Brush, node: Node) -> None:
    brush.box(node.bounds, "#20304a")
    brush.text(_inner(node.bounds, left=MARGIN), node.description, 12, "#dfe6f2")


def _bar(brush: _Brush, node: Node) -> None:
    brush.box(node.bounds, "#eef1f6")


def _bar_title(brush: _Brush, node: Node) -> None:
    brush.text(node.bounds, node.text, 19, INK)


def _action(brush: _Brush, node: Node) -> None:
    brush.box(node.bounds, "#dbe4f5", 10)
    brush.text(node.bounds, node.text, 14, ACCENT, centred=True)


def _row(brush: _Brush, node: Node) -> None:
    bounds = node.bounds
    brush.box(Bounds(bounds.left + MARGIN, bounds.bottom - 1, bounds.right - MARGIN, bounds.bottom), LINE)


def _banner(brush: _Brush, node: Node) -> None:
    brush.box(node.bounds, "#fff4d6", 12)


def _title(brush: _Brush, node: Node) -> None:
    brush.text(node.bounds, node.text, 15, INK)


def _detail(brush: _Brush, node: Node) -> None:
    brush.text(node.bounds, node.text, 12, FAINT)


def _heading(brush: _Brush, node: Node) -> None:
    brush.text(node.bounds, node.text, 13, ACCENT)


def _running(brush: _Brush, node: Node) -> None:
    left, top, right, _ = node.bounds
    for number, line in enumerate(wrap(node.text)):
        brush.text(Bounds(left, top + 20 * number, right, top + 20 * number + 20), line, 14, INK)


def _switch(brush: _Brush, node: Node) -> None:
    bounds = node.bounds
    brush.text(_inner(bounds, left=MARGIN, right=80), node.text, 15, INK)
    middle = (bounds.top + bounds.bottom) // 2
    track = Bounds(bounds.right - MARGIN - 40, middle - 11, bounds.right - MARGIN, middle + 11)
    brush.box(track, ACCENT if node.checked else "#c3c7ce", 11)
    knob = track.right - 20 if node.checked else track.left + 2
    brush.box(Bounds(knob, middle - 9, knob + 18, middle + 9), "#ffffff", 9)


def _radio(brush: _Brush, node: Node) -> None:
    bounds = node.bounds
    brush.text(_inner(bounds, left=MARGIN + 32, right=MARGIN), node.text, 15, INK)
    middle = (bounds.top + bounds.bottom) // 2
    ring = Bounds(bounds.left + MARGIN, middle - 9, bounds.left + MARGIN + 18, middle + 9)
    brush.box(ring, ACCENT if node.checked else SHADE, 9)
    brush.box(_inner(ring, 2, 2, 2, 2), PAPER, 7)
    if node.checked:
        brush.box(_inner(ring, 5, 5, 5, 5), ACCENT, 4)


def _field(brush: _Brush, node: Node) -> None:
    brush.box(node.bounds, ACCENT if node.focused else LINE, 8)
    brush.box(_inner(node.bounds, 2, 2, 2, 2), "#ffffff", 7)
    inside = _inner(node.bounds, left=10, right=10)
    brush.text(inside._replace(bottom=inside.top + 18), node.description, 10, FAINT)
    value = "*" * len(node.text) if node.password else node.text
    brush.text(inside._replace(top=inside.top + 16), f"{value}|" if node.focused else value, 15, INK)


def _button(brush: _Brush, node: Node) -> None:
    brush.box(node.bounds, ACCENT, 10)
    brush.text(node.bounds, node.text, 15, "#ffffff", centred=True)


def _slider(brush: _Brush, node: Node) -> None:
    bounds = node.bounds
    brush.text(bounds._replace(bottom=bounds.top + 24), f"{node.description}: {node.text}", 14, INK)
    track = Bounds(bounds.left, bounds.bottom - 18, bounds.right, bounds.bottom - 12)
    brush.box(track, "#c3c7ce", 3)
    knob = bounds.left + int(node.text) * (bounds.right - bounds.left - 18) // 100
    brush.box(track._replace(right=knob + 9), ACCENT, 3)
    brush.box(Bounds(knob, bounds.bottom - 24, knob + 18, bounds.bottom - 6), ACCENT, 9)


def _icon(brush: _Brush, node: Node) -> None:
    left, top, right, bottom = node.bounds
    tile = Bounds(left + 32, top + 10, right - 32, top + 66)
    brush.box(tile, node.tint or SHADE, 14)
    brush.text(tile, node.text[:1], 26, "#ffffff", centred=True)
    brush.text(Bounds(left, top + 70, right, bottom - 8), node.text, 13, INK, centred=True)


_PAINTERS: Mapping[str, Callable[[_Brush, Node], None]] = {
    "dialog": _sheet,
    "status": _status,
    "bar": _bar,
    "dialog_bar": _nothing,
    "bar_title": _bar_title,
    "action": _action,
    "row": _row,
    "banner": _banner,
    "title": _title,
    "detail": _detail,
    "heading": _heading,
    "text": _running,
    "switch": _switch,
    "radio": _radio,
    "field": _field,
    "button": _button,
    "slider": _slider,
    "icon": _icon,
}
"""How each style is drawn."""
