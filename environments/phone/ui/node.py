"""A view hierarchy: what is on the screen, where, and what touching it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

WIDTH, HEIGHT = 360, 640
"""The screen, in pixels."""

Handler: TypeAlias = Callable[[], None]


class Bounds(NamedTuple):
    """A rectangle in pixels; `right` and `bottom` lie just outside, as in Android."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def centre(self) -> tuple[int, int]:
        """The point in the middle."""
        return (self.left + self.right) // 2, (self.top + self.bottom) // 2

    def holds(self, x: int, y: int) -> bool:
        """Whether a point lies inside."""
        return self.left <= x < self.right and self.top <= y < self.bottom

    def clipped(self, window: Bounds) -> Bounds:
        """Return the part inside `window`; empty (or inverted) where there is none."""
        return Bounds(
            max(self.left, window.left),
            max(self.top, window.top),
            min(self.right, window.right),
            min(self.bottom, window.bottom),
        )

    @property
    def empty(self) -> bool:
        """Whether no pixel is inside."""
        return self.left >= self.right or self.top >= self.bottom


SCREEN = Bounds(0, 0, WIDTH, HEIGHT)


@dataclass(slots=True)
class Node:
    """One view, with `uiautomator`'s attributes and, in this phone's own screens, what touching it does."""

    kind: str
    """Android's class, such as `android.widget.TextView`."""
    bounds: Bounds
    text: str = ""
    description: str = ""
    """`content-desc`."""
    resource_id: str = ""
    children: list[Node] = field(default_factory=list["Node"])
    clickable: bool = False
    long_clickable: bool = False
    scrollable: bool = False
    checkable: bool = False
    checked: bool = False
    focusable: bool = False
    focused: bool = False
    password: bool = False
    enabled: bool = True
    package: str = ""
    style: str = ""
    """How it is drawn; see `render`."""
    tint: str = ""
    """A colour of its own, where the style leaves it open."""
    on_tap: Handler | None = None
    on_hold: Handler | None = None
    on_slide: Callable[[float], None] | None = None
    """Called with the share of a slider's width that was touched."""

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, in drawing order."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def is_field(self) -> bool:
        """Whether text can be typed into it."""
        return self.kind.endswith("EditText")

    @property
    def is_slider(self) -> bool:
        """Whether it is set by swiping or touching along it."""
        return self.kind.endswith("SeekBar")

    @property
    def is_element(self) -> bool:
        """Whether something can be done with it, besides scrolling."""
        return self.enabled and (self.clickable or self.long_clickable or self.is_field or self.is_slider)
