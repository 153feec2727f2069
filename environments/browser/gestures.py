"""How actions are carried out: with real input events, as a user's hand and keyboard give them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from playwright.async_api import Error as PlaywrightError

from agentgym.core.errors import did_you_mean
from agentgym.environments.browser import scripts
from agentgym.environments.browser.grammar import Call
from agentgym.environments.browser.tab import Gone
from agentgym.environments.browser.tree import Element
from agentgym.environments.browser.window import TABS, Window

TEXT_CHARS = 4096
"""Longest text that is typed or filled in."""


class Impossible(Exception):
    """An action that cannot be done now; the message says why, and what can."""


async def perform(window: Window, call: Call) -> None:
    """Do an action; raises `Impossible` and `Gone`."""
    await _HANDS[call.verb](window, *call.arguments)


def _element(window: Window, number: int) -> Element:
    elements = window.current.tree.elements
    if number not in elements:
        raise Impossible(f"There is no element {number} on the page; it shows 1 to {len(elements)}.")
    return elements[number]


async def _point(window: Window, number: int) -> tuple[float, float]:
    """Return a point at which a click meets the element, which is brought into view."""
    element = _element(window, number)
    found: dict[str, Any] = await window.current.call(element, scripts.POINT)
    match found.get("problem"):
        case None:
            if found["disabled"]:
                raise Impossible(f"Element {number} ({element.role} {element.name!r}) is disabled.")
            return found["x"], found["y"]
        case "gone":
            raise Gone
        case "covered":
            raise Impossible(f"Element {number} is covered by {found['by']}; deal with that first.")
        case _ if element.role == "option":
            raise Impossible(f"Element {number} is an option; choose it with select_option on its list.")
        case problem:
            raise Impossible(f"Element {number} is {problem}: there is nothing to point at.")


async def _click(window: Window, number: int) -> None:
    await window.current.page.mouse.click(*await _point(window, number))


async def _dblclick(window: Window, number: int) -> None:
    await window.current.page.mouse.dblclick(*await _point(window, number))


async def _hover(window: Window, number: int) -> None:
    await window.current.page.mouse.move(*await _point(window, number))


async def _drag(window: Window, source: int, target: int) -> None:
    start = await _point(window, source)
    await _drag_points(window, *start, *await _point(window, target))


async def _fill(window: Window, number: int, text: str) -> None:
    _must_be_short(text)
    tab, element = window.current, _element(window, number)
    match await tab.call(element, scripts.FOCUS_AND_SELECT):
        case "gone":
            raise Gone
        case "selected":
            await (tab.page.keyboard.insert_text(text) if text else tab.page.keyboard.press("Delete"))
        case "set":
            kind = await tab.call(element, scripts.SET_VALUE, text)
            if kind:
                raise Impossible(f"Element {number} is a field for a {kind}, which {text!r:.60} is not.")
        case "no field":
            raise Impossible(f"Element {number} ({element.role} {element.name!r}) is no field to fill.")
        case problem:
            raise Impossible(f"Element {number} is {problem}.")


async def _select(window: Window, number: int, *options: str) -> None:
    element = _element(window, number)
    found: dict[str, Any] = await window.current.call(element, scripts.SELECT, list(options))
    match found.get("problem"):
        case None:
            return
        case "gone":
            raise Gone
        case "unknown":
            known: list[str] = found["known"]
            advice = f"{did_you_mean(found['text'], known)} It has: {', '.join(known)}."
            raise Impossible(f"Element {number} has no option {found['text']!r:.60}.{advice}")
        case "no list":
            raise Impossible(f"Element {number} ({element.role} {element.name!r}) is no list to select from.")
        case "one only":
            raise Impossible(f"Of element {number} one option only can be selected.")
        case problem:
            raise Impossible(f"Element {number}, or the option, is {problem}.")


async def _press_in(window: Window, number: int, key: str) -> None:
    if await window.current.call(_element(window, number), scripts.FOCUS) == "gone":
        raise Gone
    await _press(window, key)


async def _press(window: Window, key: str) -> None:
    try:
        await window.current.page.keyboard.press(key)
    except PlaywrightError as error:
        if "Unknown key" not in error.message:
            raise
        raise Impossible(
            f'There is no key {key!r:.40}; keys are such as "Enter", "a", "Control+a".'
        ) from None


async def _type(window: Window, text: str) -> None:
    _must_be_short(text)
    await window.current.page.keyboard.type(text)


async def _scroll(window: Window, dx: float, dy: float) -> None:
    middle = [side / 2 for side in window.size]
    if not await window.current.page.evaluate(scripts.SCROLL, [*middle, dx, dy]):
        raise Impossible("Nothing more can be scrolled in that direction.")


def _inside(window: Window, *points: float) -> None:
    width, height = window.size
    for x, y in zip(points[::2], points[1::2], strict=True):
        if not (0 <= x < width and 0 <= y < height):
            raise Impossible(
                f"({x:g}, {y:g}) is off the page, which is {width} pixels wide and {height} high."
            )


def _at(gesture: str) -> Callable[..., Awaitable[None]]:
    async def do(window: Window, x: float, y: float) -> None:
        _inside(window, x, y)
        await getattr(window.current.page.mouse, gesture)(x, y)

    return do


def _button(gesture: str) -> Callable[..., Awaitable[None]]:
    async def do(window: Window, x: float, y: float) -> None:
        _inside(window, x, y)
        mouse = window.current.page.mouse
        await mouse.move(x, y)
        await getattr(mouse, gesture)()

    return do


async def _drag_points(window: Window, x: float, y: float, to_x: float, to_y: float) -> None:
    _inside(window, x, y, to_x, to_y)
    mouse = window.current.page.mouse
    await mouse.move(x, y)
    await mouse.down()
    await mouse.move(to_x, to_y, steps=5)
    await mouse.up()


async def _goto(window: Window, address: str) -> None:
    url = window.egress.full(address)
    if not window.egress.allows(url):
        raise Impossible(f"{address!r:.200} is outside this site; addresses here begin with '/'.")
    try:
        await window.current.page.goto(url, wait_until="commit")
    except PlaywrightError as error:
        if window.current.page.is_closed():
            raise
        reason = error.message.partition(" at ")[0].removeprefix("Page.goto: ")
        raise Impossible(f"{address:.200} could not be opened: {reason:.100}.") from None


def _travel(gesture: str, nowhere: str) -> Callable[..., Awaitable[None]]:
    async def do(window: Window) -> None:
        tab = window.current
        history = await tab.send("Page.getNavigationHistory")
        target = history["currentIndex"] + (-1 if gesture == "go_back" else 1)
        entries = history["entries"]
        if not (0 <= target < len(entries)) or not window.egress.allows(entries[target]["url"]):
            raise Impossible(nowhere)
        await getattr(tab.page, gesture)(wait_until="commit")

    return do


async def _new_tab(window: Window) -> None:
    if len(window.tabs) >= TABS:
        raise Impossible(f"There are {TABS} tabs already; close one first.")
    await window.new_tab()
    await window.go_home()


async def _tab_focus(window: Window, index: int) -> None:
    if index >= len(window.tabs):
        raise Impossible(f"There is no tab {index}; there are 0 to {len(window.tabs) - 1}.")
    window.focus(window.tabs[index])
    await window.current.page.bring_to_front()


async def _tab_close(window: Window) -> None:
    await window.close_tab(window.current)


async def _noop(window: Window) -> None:
    del window


def _must_be_short(text: str) -> None:
    if len(text) > TEXT_CHARS:
        raise Impossible(f"The text has {len(text)} characters; at most {TEXT_CHARS} can be typed.")


_Hand: TypeAlias = Callable[..., Awaitable[None]]

_HANDS: dict[str, _Hand] = {
    "click": _click,
    "dblclick": _dblclick,
    "hover": _hover,
    "fill": _fill,
    "select_option": _select,
    "press": _press_in,
    "drag_and_drop": _drag,
    "scroll": _scroll,
    "mouse_move": _at("move"),
    "mouse_click": _at("click"),
    "mouse_dblclick": _at("dblclick"),
    "mouse_down": _button("down"),
    "mouse_up": _button("up"),
    "mouse_drag_and_drop": _drag_points,
    "keyboard_press": _press,
    "keyboard_type": _type,
    "goto": _goto,
    "go_back": _travel("go_back", "There is no page to go back to."),
    "go_forward": _travel("go_forward", "There is no page to go forward to."),
    "new_tab": _new_tab,
    "tab_focus": _tab_focus,
    "tab_close": _tab_close,
    "noop": _noop,
}
