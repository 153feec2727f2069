"""What runs inside a desktop's box, with the system's Python: starts programs, waits for rest, reads AT-SPI's tree.

Requests and answers are JSON, one a line: `{"do": "launch", "command": [...]}`, `{"do": "settle"}`, `{"do": "tree"}`.
It is given to `python3 -c` as text and imports nothing of agentgym: AT-SPI's bindings belong to the system's Python.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

FILE_BYTES = 64 << 20
"""No file in the box grows beyond this."""
OTHERS = (
    {entry.name for entry in Path("/proc").glob("[0-9]*")}
    if "AGENTGYM_DESKTOP_CONTAINER" in os.environ
    else {str(os.getpid())}
)
"""Processes that are no part of the desktop: where a container holds it, those that were there before."""
AT_REST = 8
"""Looks in a row at which nothing in the box may be running."""
LOOK_S = 0.01
MOST_LOOKS = 300
"""Not a time: where the machine has other things to do, every look takes longer."""
MOST_NODES = 1500
MOST_CHARS = 1000
CLOCK = "\u2236"
"""What stands between hours and minutes in lists of files."""
FIELDS = {"text", "entry", "password text", "spin button", "terminal", "paragraph"}
SPOKEN = {"label", "status bar", "icon", "table cell", "list item", "heading", "static"}
HANDLED = {
    "push button",
    "toggle button",
    "check box",
    "radio button",
    "menu",
    "menu item",
    "check menu item",
    "radio menu item",
    "combo box",
    "page tab",
    "link",
    "slider",
    "tree item",
}


def main() -> None:
    """Start the window manager and AT-SPI, then answer requests until there are no more."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    programs = [start(["/usr/libexec/at-spi-bus-launcher", "--launch-immediately"]), start(["openbox"])]
    settle()
    tree()  # the first look connects, which takes a while
    answer({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "launch":
            programs = [program for program in programs if program.poll() is None]
            programs.append(start(request["command"]))
            answer({})
        else:
            answer({"settled": settle()} if request["do"] == "settle" else {"nodes": tree()})


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a program that has nothing to do with our pipes."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)


def answer(content: dict[str, Any]) -> None:
    """Write a line."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def settle() -> bool:
    """Wait until every process of the box sleeps, and keeps sleeping for a while; False where they do not."""
    resting = 0
    for _ in range(MOST_LOOKS):
        resting = 0 if busy() else resting + 1
        time.sleep(LOOK_S)
        if resting == AT_REST:
            return True
    return False


def busy() -> bool:
    """Whether any process of the desktop but this one has something to do now."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state = stat.read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            continue
        if state in "RD" and stat.parent.name not in OTHERS:
            return True
    return False


def tree() -> list[dict[str, Any]]:
    """Return what the applications say is on the screen, windows first, each before what it contains."""
    atspi: Any = import_module("gi.repository.Atspi")
    nodes: list[dict[str, Any]] = []
    desktop = atspi.get_desktop(0)
    for application in children(desktop):
        for window in children(application):
            read(atspi, window, 0, nodes)
    return nodes


def children(node: Any) -> list[Any]:
    """Return a node's children; those that vanish meanwhile are left out."""
    found: list[Any] = []
    try:
        for index in range(min(node.get_child_count(), 400)):
            child = node.get_child_at_index(index)
            if child is not None:
                found.append(child)
    except Exception:  # noqa: BLE001 - whatever AT-SPI's bindings raise, the node is gone
        return found
    return found


def read(atspi: Any, node: Any, depth: int, nodes: list[dict[str, Any]]) -> None:
    """Add a node and what is below it, as far as they are showing."""
    if len(nodes) >= MOST_NODES or depth > 40:
        return
    try:
        states = node.get_state_set()
        if not states.contains(atspi.StateType.SHOWING) and depth:
            return
        role = str(node.get_role_name())
        if role != "tool tip":
            described = describe(atspi, node, role, states)
            if depth == 0 or described is not None:
                nodes.append({"window": depth == 0, **(described or whole(node, role, states, atspi))})
    except Exception:  # noqa: BLE001 - the node is gone
        return
    for child in children(node):
        read(atspi, child, depth + 1, nodes)


def describe(atspi: Any, node: Any, role: str, states: Any) -> dict[str, Any] | None:
    """Return what is told of a node; None where there is nothing to tell."""
    if role not in FIELDS | SPOKEN | HANDLED:
        return None
    told = whole(node, role, states, atspi)
    if role in FIELDS:
        text = node.get_text_iface()
        told["text"] = "" if text is None else str(atspi.Text.get_text(text, 0, MOST_CHARS))
    elif role == "icon" and not told["name"]:  # the icons of files say their names as texts
        text = node.get_text_iface()
        told["name"] = "" if text is None else str(atspi.Text.get_text(text, 0, MOST_CHARS))
    if role not in FIELDS and (not told["name"].strip() or hidden(told["name"])):
        return None
    return told


def hidden(name: str) -> bool:
    """Whether a name is of what else goes on on the machine, or when files were changed: no part of a task."""
    return name.startswith("Free space") or CLOCK in name


def whole(node: Any, role: str, states: Any, atspi: Any) -> dict[str, Any]:
    """Return what every node has."""
    box = node.get_component_iface().get_extents(atspi.CoordType.SCREEN)
    kinds = atspi.StateType
    marks = {
        "active": kinds.ACTIVE,
        "focused": kinds.FOCUSED,
        "checked": kinds.CHECKED,
        "selected": kinds.SELECTED,
    }
    return {
        "role": role,
        "name": str(node.get_name() or ""),
        "box": [box.x, box.y, box.width, box.height],
        "marks": [name for name, state in marks.items() if states.contains(state)],
        "enabled": bool(states.contains(kinds.SENSITIVE)),
    }


if __name__ == "__main__":
    main()
