"""Tasks of boxes to tick and lists to choose from."""

from __future__ import annotations

import re

from agentgym.environments.miniwob.experts.view import Experts, View, check, click, first, select

EXPERTS = Experts()


@EXPERTS.on("click-checkboxes", "click-checkboxes-large", "click-checkboxes-transfer")
def tick_boxes(view: View) -> str:
    """Tick the boxes that are named, and submit."""
    names = view.utterance.removeprefix("Select ").removesuffix(" and click Submit.").split(", ")
    boxes = view.all("checkbox")
    steps = [check(view, box, view.elements[box].name in names) for box in boxes]
    return first(*steps, click(view.find("button", "Submit")))


@EXPERTS.on("click-option")
def choose_an_option(view: View) -> str:
    """Choose the option that is named, and submit."""
    name = view.utterance.removeprefix("Select ").removesuffix(" and click Submit.")
    return first(check(view, view.find("radio", name)), click(view.find("button", "Submit")))


@EXPERTS.on("choose-list")
def choose_from_a_list(view: View) -> str:
    """Choose what is named from a list, and submit."""
    name = view.utterance.removeprefix("Select ").removesuffix(" from the list and click Submit.")
    chosen = view.is_("selected", view.find("option", name))
    return first(
        None if chosen else select(view.find("combobox"), name), click(view.find("button", "Submit"))
    )


@EXPERTS.on("click-scroll-list")
def choose_several(view: View) -> str:
    """Choose everything that is named from a list, and submit."""
    names = (
        view.utterance.removeprefix("Select ")
        .removesuffix(" from the scroll list and click Submit.")
        .split(", ")
    )
    chosen = all(view.is_("selected", view.find("option", name)) for name in names)
    return first(
        None if chosen else select(view.find("listbox"), *names), click(view.find("button", "Submit"))
    )


@EXPERTS.on("form-sequence-2")
def radio_and_field(view: View) -> str:
    """Choose the nth option, fill in the nth field, and submit."""
    nth = [int(number) - 1 for number in re.findall(r"(\d)(?:st|nd|rd|th)", view.utterance)]
    field = view.find("textbox", nth=nth[1])
    filled = None if view.value(field) == view.quoted[0] else f'fill({field}, "{view.quoted[0]}")'
    return first(check(view, view.find("radio", nth=nth[0])), filled, click(view.find("button", "Submit")))


@EXPERTS.on("odd-or-even")
def odd_or_even(view: View) -> str:
    """Say of every number what it is, and submit."""
    for place, text in enumerate(view.texts()):
        name = "Odd" if int(text) % 2 else "Even"
        action = click(view.find("button", name, nth=place))
        if not view.did(action):
            return action
    return click(view.find("button", "Submit"))
