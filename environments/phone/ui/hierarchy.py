"""View hierarchies as `uiautomator dump` writes them, both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from agentgym.core.errors import UsageError
from agentgym.environments.phone.ui.node import SCREEN, Bounds, Node

_BOUNDS = re.compile(r"\[(-?\d+),(-?\d+)\]\[(-?\d+),(-?\d+)\]")
# What XML 1.0 cannot hold, not even escaped; uiautomator writes a full stop in its place.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_hierarchy(root: Node) -> str:
    """Return the hierarchy as `uiautomator dump` would write it."""
    parts = ["<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>", '<hierarchy rotation="0">']
    _write(root, 0, parts)
    parts.append("</hierarchy>")
    return "".join(parts)


def _write(node: Node, index: int, parts: list[str]) -> None:
    parts.append("<node " + " ".join(f"{name}={_quoted(value)}" for name, value in _attributes(node, index)))
    if not node.children:
        parts.append(" />")
        return
    parts.append(">")
    for number, child in enumerate(node.children):
        _write(child, number, parts)
    parts.append("</node>")


def _attributes(node: Node, index: int) -> list[tuple[str, str]]:
    flags = {
        "checkable": node.checkable,
        "checked": node.checked,
        "clickable": node.clickable,
        "enabled": node.enabled,
        "focusable": node.focusable,
        "focused": node.focused,
        "scrollable": node.scrollable,
        "long-clickable": node.long_clickable,
        "password": node.password,
        "selected": False,
    }
    left, top, right, bottom = node.bounds
    return [
        ("index", str(index)),
        ("text", node.text),
        ("resource-id", node.resource_id),
        ("class", node.kind),
        ("package", node.package),
        ("content-desc", node.description),
        *((name, "true" if value else "false") for name, value in flags.items()),
        ("bounds", f"[{left},{top}][{right},{bottom}]"),
    ]


def _quoted(value: str) -> str:
    return quoteattr(_NOT_XML.sub(".", value), {"\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})


def read_hierarchy(xml: str) -> Node:
    """Return the root of a hierarchy that `uiautomator` wrote; raises `UsageError` for anything else."""
    try:
        tree = ElementTree.fromstring(xml.strip().encode("utf-8"))
    except ElementTree.ParseError as error:
        raise UsageError(f"No view hierarchy: {error}; got {xml[:120]!r}.") from error
    if tree.tag != "hierarchy":
        raise UsageError(f"No view hierarchy: the outermost element is <{tree.tag}>, not <hierarchy>.")
    windows = [_read(each) for each in tree.findall("node")]
    if len(windows) == 1:
        return windows[0]
    return Node("android.widget.FrameLayout", SCREEN, children=windows)


def _read(element: ElementTree.Element) -> Node:
    attributes: Mapping[str, str] = element.attrib
    found = _BOUNDS.fullmatch(attributes.get("bounds", ""))
    if found is None:
        raise UsageError(f"No view hierarchy: a node has the bounds {attributes.get('bounds')!r}.")

    def flag(name: str) -> bool:
        return attributes.get(name) == "true"

    return Node(
        attributes.get("class", ""),
        Bounds(*map(int, found.groups())),
        text=attributes.get("text", ""),
        description=attributes.get("content-desc", ""),
        resource_id=attributes.get("resource-id", ""),
        package=attributes.get("package", ""),
        children=[_read(child) for child in element.findall("node")],
        clickable=flag("clickable"),
        long_clickable=flag("long-clickable"),
        scrollable=flag("scrollable"),
        checkable=flag("checkable"),
        checked=flag("checked"),
        focusable=flag("focusable"),
        focused=flag("focused"),
        password=flag("password"),
        enabled=attributes.get("enabled") != "false",
    )
