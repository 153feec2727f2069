"""Tasks that take a look at colours, shapes and icons."""

from __future__ import annotations

import re

from agentgym.environments.miniwob.experts.view import Experts, Stuck, View, click, click_at, drag, first

EXPERTS = Experts()


@EXPERTS.on("click-color")
def box_of_a_color(view: View) -> str:
    """Click the box of a colour."""
    name = re.findall(r"on the (\w+) colored", view.utterance)[0]
    color: str = view.evaluate(
        """name => { const one = document.createElement("i"); one.style.color = name; document.body.append(one);
                     const color = getComputedStyle(one).color; one.remove(); return color; }""",
        name,
    )
    return click_at(*next(point for shade, point in _boxes(view, "div.color") if shade == color))


@EXPERTS.on("click-shades")
def shades(view: View) -> str:
    """Click the shades of a colour that were not clicked yet, and submit."""
    name = re.findall(r"shades of (\w+)", view.utterance)[0]
    strongest = ("red", "green", "blue").index(name)
    for shade, point in _boxes(view, "span"):
        parts = [int(part) for part in re.findall(r"\d+", shade)]
        if parts[strongest] == max(parts) and not view.did(click_at(*point)):
            return click_at(*point)
    return click(view.find("button", "Submit"))


@EXPERTS.on("identify-shape")
def name_of_a_shape(view: View) -> str:
    """Say what the shape is."""
    names = {"rect": "Rectangle", "circle": "Circle", "polygon": "Triangle"}
    shape = next(
        (name for tag, name in names.items() if re.search(rf"^{tag}\b", view.text, re.MULTILINE)), None
    )
    if shape is None:
        shape = "Number" if view.texts()[0].isdigit() else "Letter"
    return click(view.find("button", shape))


@EXPERTS.on("social-media")
def icon_of_a_post(view: View) -> str:
    """Click an icon below a user's post."""
    user = re.findall(r"@[\w-]+", view.utterance)[0]
    name = view.quoted[0]
    if name in ("Reply", "Retweet", "Like"):
        return _icon(view, "#area .media", user, f".{name.lower()}")
    kinds = {
        "Share via DM": "share",
        "Copy link to Tweet": "copy",
        "Embed Tweet": "embed",
        "Report": "report",
    }
    kinds |= {"Mute": "menu-user", "Block": "block-user"}
    opened = _is_there(view, f"{user}", f"ul:not(.hide) .{kinds[name]}")
    return _icon(view, "#area .media", user, f".{kinds[name]}" if opened else ".more")


@EXPERTS.on("email-inbox-important", "email-inbox-delete")
def icon_of_a_mail(view: View) -> str:
    """Click an icon of a mail."""
    sender = re.findall(r"by (\w+)", view.utterance)[0]
    return _icon(view, ".email-thread", sender, ".star" if "star" in view.utterance else ".trash")


@EXPERTS.on("drag-box")
def box_into_box(view: View) -> str:
    """Drag the small box into the large one, and submit."""
    places: list[float] = view.evaluate(
        """() => { const boxes = [...document.querySelectorAll("#area div")].filter(one => !one.children.length)
                     .map(one => one.getBoundingClientRect()).sort((a, b) => a.width - b.width);
                   const middle = box => [box.left + box.width / 2, box.top + box.height / 2];
                   return [...middle(boxes[0]), ...middle(boxes[boxes.length - 1])]; }"""
    )
    return first(None if view.actions else drag(*places), click(view.find("button", "Submit")))


_FIND = """([block, text, icon]) => {
  const post = [...document.querySelectorAll(block)].find(one => one.textContent.includes(text));
  const found = post && post.querySelector(icon);
  if (!found) return null;
  const box = found.getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2].map(Math.round);
}"""


def _icon(view: View, block: str, text: str, icon: str) -> str:
    point: list[int] | None = view.evaluate(_FIND, [block, text, icon])
    if point is None:
        raise Stuck
    x, y = point
    return click_at(x, y) if 55 < y < 205 else f"scroll(0, {y - 130})"


def _is_there(view: View, text: str, icon: str) -> bool:
    return view.evaluate(_FIND, ["#area .media", text, icon]) is not None


def _boxes(view: View, name: str) -> list[tuple[str, tuple[int, int]]]:
    pattern = rf"^{re.escape(name)} ?(rgba?\([^)]*\))? at \((-?\d+), (-?\d+)\)"
    return [(color, (int(x), int(y))) for color, x, y in re.findall(pattern, view.text, re.MULTILINE)]
