"""What can be done on a desktop: pyautogui's gestures as calls, in the browser's grammar."""

from __future__ import annotations

from agentgym.environments.browser.grammar import Kind, Verb

_ID: tuple[tuple[str, Kind], ...] = (("id", "id"),)
_POINT: tuple[tuple[str, Kind], ...] = (("x", "number"), ("y", "number"))

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("click", _ID, "click an element"),
        Verb("double_click", _ID, "click an element twice"),
        Verb("right_click", _ID, "click an element with the right button"),
        Verb("move_to", _POINT, "move the pointer"),
        Verb("click_at", _POINT, "click at a point"),
        Verb("double_click_at", _POINT, "click twice at a point"),
        Verb("right_click_at", _POINT, "click with the right button at a point"),
        Verb(
            "drag",
            (("x", "number"), ("y", "number"), ("to_x", "number"), ("to_y", "number")),
            "drag from a point to another",
        ),
        Verb(
            "scroll",
            (*_POINT, ("notches", "number")),
            "turn the wheel at a point, up (above 0) or down (below 0)",
        ),
        Verb("type", (("text", "text"),), 'type a text, key by key; `"\\n"` is Enter'),
        Verb("key", (("keys", "text"),), 'press a key, such as "enter", "f2" or "ctrl+shift+s"'),
        Verb("wait", (("seconds", "number"),), "wait, for at most 5 seconds"),
        Verb("launch", (("app", "text"),), "open an application, and files in it", more=True),
        Verb("done", (), "say that the task is done"),
    )
}
