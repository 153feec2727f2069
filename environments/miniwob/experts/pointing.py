"""Tasks that take the right click."""

from __future__ import annotations

from agentgym.environments.miniwob.experts.view import Experts, Stuck, View, click, click_at, first, once

EXPERTS = Experts()


@EXPERTS.on("click-test", "click-dialog")
def the_only_button(view: View) -> str:
    """Click the button that there is."""
    return click(view.find("button"))


@EXPERTS.on("click-test-2", "click-test-transfer")
def button_one(view: View) -> str:
    """Click the button that is named without quotes."""
    return click(view.find("button", view.utterance.split()[-1].rstrip(".")))


@EXPERTS.on("click-button", "unicode-test")
def button_by_name(view: View) -> str:
    """Click a button by its name."""
    return click(view.find("button", view.quoted[0]))


@EXPERTS.on("click-dialog-2")
def button_of_a_dialog(view: View) -> str:
    """Click a button of a dialog; `x` closes it."""
    return click(view.find("button", {"x": "Close"}.get(view.quoted[0], view.quoted[0])))


@EXPERTS.on("click-link")
def text_by_name(view: View) -> str:
    """Click a text."""
    return click(view.named(view.quoted[0]))


@EXPERTS.on("click-button-sequence")
def one_then_two(view: View) -> str:
    """Click one button, then the other."""
    return first(once(view, click(view.find("button", "ONE"))), click(view.find("button", "TWO")))


@EXPERTS.on("focus-text")
def the_only_field(view: View) -> str:
    """Click into the field."""
    return click(view.find("textbox"))


@EXPERTS.on("focus-text-2")
def nth_field(view: View) -> str:
    """Click into the field that is asked for by number."""
    return click(view.find("textbox", nth=int(view.utterance.split("the ")[1][0]) - 1))


@EXPERTS.on("click-tab")
def tab_by_name(view: View) -> str:
    """Click a tab."""
    return click(view.find("link", view.utterance.removeprefix("Click on ").rstrip(".")))


@EXPERTS.on("click-tab-2", "click-tab-2-easy", "click-tab-2-medium", "click-tab-2-hard")
def link_in_a_tab(view: View) -> str:
    """Open one tab after the other until the link is there."""
    if view.quoted[0] in view.texts():
        return click(view.find("StaticText", view.quoted[0]))
    return _next_untried(view, "link")


@EXPERTS.on("click-collapsible")
def open_and_submit(view: View) -> str:
    """Open the section and submit."""
    return first(once(view, click(view.find("tab"))), click(view.find("button", "Submit")))


@EXPERTS.on("click-collapsible-2")
def link_in_a_section(view: View) -> str:
    """Open one section after the other until the link is there."""
    if view.quoted[0] in view.texts():
        return click(view.find("StaticText", view.quoted[0]))
    names = [view.elements[tab].name for tab in view.all("tab")]
    opened = max(
        (number for number, name in enumerate(names) if view.is_("expanded=true", view.find("tab", name))),
        default=-1,
    )
    return click(view.find("tab", nth=opened + 1))


@EXPERTS.on("navigate-tree")
def node_of_a_tree(view: View) -> str:
    """Open folders until the name is there."""
    wanted = view.quoted[0]
    if wanted in view.texts():
        return click(view.find("StaticText", wanted))
    folder = view.evaluate(
        """() => { const seen = one => one.offsetParent !== null;
                   const one = [...document.querySelectorAll("#tree .expandable > .folder")].find(seen);
                   return one && one.textContent.trim(); }"""
    )
    if not folder:
        raise Stuck
    return click(view.find("StaticText", folder))


@EXPERTS.on("click-widget")
def widget_of_a_kind(view: View) -> str:
    """Click a widget of the kind that is asked for."""
    return click_at(*_middle(view, f'#area [data-type="{view.quoted[0]}"]'))


@EXPERTS.on("circle-center")
def middle_of_the_circle(view: View) -> str:
    """Click the middle of the circle, and submit."""
    x, y = _middle(view, "circle.black-circle")
    return first(once(view, click_at(x, y)), click(view.find("button", "Submit")))


@EXPERTS.on("grid-coordinate")
def point_of_a_grid(view: View) -> str:
    """Click the point whose coordinates are asked for."""
    return click_at(*_middle(view, f'[id="({view.utterance.split("(")[1].rstrip(".").rstrip(")")})"]'))


def _next_untried(view: View, role: str) -> str:
    for element in view.all(role):
        if not view.did(click(element)):
            return click(element)
    raise Stuck


def _middle(view: View, selector: str) -> tuple[float, float]:
    point = view.evaluate(
        """selector => { const one = document.querySelector(selector), box = one && one.getBoundingClientRect();
                         return one && [box.left + box.width / 2, box.top + box.height / 2]; }""",
        selector,
    )
    if point is None:
        raise Stuck
    return round(point[0]), round(point[1])
