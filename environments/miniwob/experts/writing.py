"""Tasks of fields to fill in."""

from __future__ import annotations

import re

from agentgym.environments.miniwob.experts.view import Experts, View, click, fill, first, once

EXPERTS = Experts()


@EXPERTS.on("enter-text", "enter-text-dynamic")
def one_field(view: View) -> str:
    """Fill in the field, and submit."""
    return first(fill(view, view.find("textbox"), view.quoted[0]), _submit(view))


@EXPERTS.on("enter-text-2")
def upper_or_lower(view: View) -> str:
    """Fill in the field in upper or lower case, and submit."""
    text = view.quoted[0].upper() if "upper case" in view.utterance else view.quoted[0].lower()
    return first(fill(view, view.find("textbox"), text), _submit(view))


@EXPERTS.on("enter-password")
def twice(view: View) -> str:
    """Fill in both fields, and submit."""
    one, other = view.all("textbox")
    return first(fill(view, one, view.quoted[0]), fill(view, other, view.quoted[0]), _submit(view))


@EXPERTS.on("login-user")
def log_in(view: View) -> str:
    """Fill in name and password, and log in."""
    name, password = view.all("textbox")
    steps = [fill(view, name, view.quoted[0]), fill(view, password, view.quoted[1])]
    return first(*steps, click(view.find("button", "Login")))


@EXPERTS.on("enter-date")
def date(view: View) -> str:
    """Fill in the date, and submit."""
    month, day, year = re.findall(r"(\d+)/(\d+)/(\d+)", view.utterance)[0]
    field = view.find("Date")
    return first(fill(view, field, f"{year}-{month}-{day}"), _submit(view))


@EXPERTS.on("enter-time")
def time(view: View) -> str:
    """Fill in the time, and submit."""
    hour, minute, half = re.findall(r"(\d+):(\d+) ([AP]M)", view.utterance)[0]
    full = int(hour) % 12 + (12 if half == "PM" else 0)
    return first(fill(view, view.find("InputTime"), f"{full:02}:{minute}"), _submit(view))


@EXPERTS.on("use-spinner")
def spinner(view: View) -> str:
    """Fill in the number, and submit."""
    number = re.findall(r"Select (-?\d+)", view.utterance)[0]
    # What the field tells of itself stays as it was; what it contains does not.
    return first(once(view, f'fill({view.find("spinbutton")}, "{number}")'), _submit(view))


@EXPERTS.on("copy-paste")
def copy(view: View) -> str:
    """Copy one field into the other, and submit."""
    target, source = view.all("textbox")
    if not view.value(source):
        target, source = source, target
    text: str = view.evaluate("() => document.querySelector('#area textarea').value")
    return first(None if view.value(target) else fill(view, target, text), _submit(view))


@EXPERTS.on("copy-paste-2")
def copy_nth(view: View) -> str:
    """Copy the text of the nth area into the field, and submit."""
    nth = int(re.findall(r"(\d)(?:st|nd|rd|th)", view.utterance)[0]) - 1
    text: str = view.evaluate("nth => document.querySelectorAll('#area textarea')[nth].value", nth)
    return first(fill(view, view.find("textbox", nth=-1), text), _submit(view))


def _submit(view: View) -> str:
    return click(view.find("button"))
