"""From a declared screen to nodes: a bar, then as many whole rows as fit, from the first one scrolled to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentgym.environments.phone.ui.node import HEIGHT, SCREEN, WIDTH, Bounds, Node
from agentgym.environments.phone.ui.widgets import MARGIN, Icon, Item, Screen, Widget

STATUS_HEIGHT, BAR_HEIGHT = 24, 54
_HIGHEST_DIALOG = 80
"""Where the tallest dialog begins."""
_ACTION_WIDTH = 84


@dataclass(slots=True)
class Layout:
    """A screen as nodes, and how it scrolls. Rows are whole: scrolling goes from row to row."""

    root: Node
    first: int
    """The row at the top."""
    shown: int
    """Rows that are shown."""
    rows: int
    """Rows that there are."""
    space: int
    """Pixels for rows, from top to bottom."""

    @property
    def more_above(self) -> bool:
        """Whether rows are hidden above."""
        return self.first > 0

    @property
    def more_below(self) -> bool:
        """Whether rows are hidden below."""
        return self.first + self.shown < self.rows


def lay_out(screen: Screen, package: str, clock: str, first: int) -> Layout:
    """Place a screen; `first` is the row scrolled to, or the last one that leaves no empty space below it."""
    heights = [row.height for row in screen.rows]
    top = 0 if not screen.dialog else max(HEIGHT - BAR_HEIGHT - sum(heights) - MARGIN, _HIGHEST_DIALOG)
    status = [] if screen.dialog else [_status(clock)]
    upper = top + BAR_HEIGHT + (0 if screen.dialog else STATUS_HEIGHT)
    space = HEIGHT - upper
    first = min(first, _furthest(heights, space))
    shown = _fitting(heights[first:], space)
    root = Node(
        "android.widget.FrameLayout",
        SCREEN if not screen.dialog else Bounds(0, top, WIDTH, HEIGHT),
        style="dialog" if screen.dialog else "screen",
        children=[
            *status,
            _bar(screen, upper),
            _list(screen.rows[first : first + shown], upper, shown < len(heights)),
        ],
    )
    for node in root.walk():
        node.package = package
    return Layout(root, first, shown, len(heights), space)


def cover_bar(layout: Layout, note: Item, dismiss: Icon) -> None:
    """Put a notification's banner where the bar is: what it covers cannot be touched."""
    row = note.place(STATUS_HEIGHT)
    right = WIDTH - MARGIN // 2
    row.style = "banner"
    for text in row.children:
        text.bounds = text.bounds._replace(right=right - _ACTION_WIDTH - 4)
    button = _action(dismiss, Bounds(right - _ACTION_WIDTH, STATUS_HEIGHT + 9, right, STATUS_HEIGHT + 45))
    row.children.append(button)
    for node in row.walk():
        node.package = "com.android.systemui"
    root = layout.root
    root.children = [child for child in root.children if child.style != "bar"]
    if root.style == "dialog":
        root = layout.root = Node(root.kind, SCREEN, children=[root], style="window", package=root.package)
    root.children.append(row)


def page_back(screen: Screen, layout: Layout) -> int:
    """Return the first row after scrolling one page back."""
    heights = [row.height for row in screen.rows[: layout.first]]
    return layout.first - max(_fitting(heights[::-1], layout.space), 1)


def _furthest(heights: Sequence[int], space: int) -> int:
    return len(heights) - _fitting(heights[::-1], space)


def _fitting(heights: Sequence[int], space: int) -> int:
    """Return how many of the rows, from the first, fit into `space`."""
    for number, height in enumerate(heights):
        space -= height
        if space < 0:
            return number
    return len(heights)


def _status(clock: str) -> Node:
    return Node(
        "android.widget.TextView",
        Bounds(0, 0, WIDTH, STATUS_HEIGHT),
        description=clock,
        resource_id="com.android.systemui:id/clock",
        style="status",
    )


def _bar(screen: Screen, lower: int) -> Node:
    right = WIDTH - MARGIN // 2
    actions: list[Node] = []
    for icon in reversed(screen.actions):
        actions.append(_action(icon, Bounds(right - _ACTION_WIDTH, lower - 45, right, lower - 9)))
        right -= _ACTION_WIDTH + 4
    title = Node(
        "android.widget.TextView",
        Bounds(MARGIN, lower - 43, right - 4, lower - 11),
        screen.title,
        style="bar_title",
    )
    return Node(
        "android.view.ViewGroup",
        Bounds(0, lower - BAR_HEIGHT, WIDTH, lower),
        children=[title, *reversed(actions)],
        style="dialog_bar" if screen.dialog else "bar",
    )


def _action(icon: Icon, bounds: Bounds) -> Node:
    return Node(
        "android.widget.Button",
        bounds,
        icon.label,
        clickable=True,
        focusable=True,
        style="action",
        on_tap=icon.on_tap,
    )


def _list(rows: Sequence[Widget], top: int, scrollable: bool) -> Node:
    nodes: list[Node] = []
    upper = top
    for row in rows:
        nodes.append(row.place(top))
        top += row.height
    bounds = Bounds(0, upper, WIDTH, HEIGHT)
    return Node("android.widget.ScrollView", bounds, children=nodes, scrollable=scrollable, style="list")
