"""Pictures, hierarchies and lists show the same."""

import random
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np
import pytest

from agentgym.core.errors import UsageError
from agentgym.core.task import Split
from agentgym.environments.phone import SPEC
from agentgym.environments.phone.env import PhoneEnv
from agentgym.environments.phone.ui.hierarchy import read_hierarchy, write_hierarchy
from agentgym.environments.phone.ui.layout import lay_out
from agentgym.environments.phone.ui.listing import read_screen
from agentgym.environments.phone.ui.node import SCREEN, Bounds, Node
from agentgym.environments.phone.ui.render import draw
from agentgym.environments.phone.ui.widgets import Item, Screen, Text, wrap


def screens(count: int, seed: int = 0, interruptions: float = 0.0) -> Iterator[PhoneEnv]:
    """Phones on screens that a random walk with a helpful expert comes to; each different."""
    chooser = random.Random(seed)
    env = SPEC.make(Split.HELDOUT, interruptions=interruptions)
    seen: set[str] = set()
    while len(seen) < count:
        _, info = env.reset(seed=chooser.randrange(10_000))
        for _ in range(12):
            expert = env.oracle() if chooser.random() < 0.5 else None
            action = expert or chooser.choice(info["admissible_actions"])
            *_, terminated, _, info = env.step(action)
            if terminated:
                break
            where = env.hierarchy()
            if where not in seen and chooser.random() < 0.3 and len(seen) < count:
                seen.add(where)
                yield env


def changed(one: np.ndarray, other: np.ndarray) -> Bounds | None:
    """The box around the pixels that differ."""
    ys, xs = np.nonzero((one != other).any(axis=2))
    return Bounds(int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1) if len(xs) else None


def test_every_text_is_drawn_inside_the_bounds_that_the_xml_gives() -> None:
    texts = 0
    for env in screens(25, interruptions=0.2):
        # Bounds from the XML, what is drawn from the screen: in the same order.
        listed = [element.attrib for element in ElementTree.fromstring(env.hierarchy().encode()).iter("node")]
        root = env.device.scene.root
        whole = draw(root)
        nodes = list(root.walk())
        assert len(nodes) == len(listed)
        for node, attributes in zip(nodes, listed, strict=True):
            if not (node.text or node.description):
                continue
            text, node.text = node.text, "0" if node.is_slider else ""
            description, node.description = node.description, ""
            difference = changed(whole, draw(root))
            node.text, node.description = text, description
            bounds = read_hierarchy(f"<hierarchy><node bounds='{attributes['bounds']}'/></hierarchy>").bounds
            assert difference is not None, f"{text or description!r} is not in the picture"
            assert difference.clipped(bounds) == difference, f"{text!r}: {difference} outside {bounds}"
            assert attributes["text"] == text
            texts += 1
    assert texts > 150


def test_every_state_is_drawn_where_its_element_is() -> None:
    states = 0
    for env in screens(40, seed=1):
        root = env.device.scene.root
        whole = draw(root)
        for node in root.walk():
            if node.checkable or node.is_field:
                node.checked, node.focused = not node.checked, not node.focused
                difference = changed(whole, draw(root))
                node.checked, node.focused = not node.checked, not node.focused
                assert difference is not None
                assert difference.clipped(node.bounds) == difference
                states += 1
    assert states > 20


def test_where_the_hierarchy_has_nothing_the_picture_is_empty() -> None:
    for env in screens(10, seed=2):
        device = env.device
        if device.scene.screen.dialog:
            continue
        picture = draw(device.scene.root)
        covered = np.zeros(picture.shape[:2], bool)
        for node in device.scene.root.walk():
            if not node.children or node.style in ("bar", "row", "banner"):
                left, top, right, bottom = node.bounds
                covered[top:bottom, left:right] = True
        outside = picture[~covered].reshape(-1, 3)
        assert (outside == outside[0]).all()


def test_bounds_nest_and_elements_do_not_overlap() -> None:
    for env in screens(40, seed=3, interruptions=0.2):
        root = read_hierarchy(env.hierarchy())
        for node in root.walk():
            assert not node.bounds.empty
            assert node.bounds.clipped(SCREEN) == node.bounds
            for child in node.children:
                assert child.bounds.clipped(node.bounds) == child.bounds
        elements = read_screen(root).elements
        for number, one in enumerate(elements):
            for other in elements[number + 1 :]:
                inside = other.node in list(one.node.walk())
                assert inside or one.node.bounds.clipped(other.node.bounds).empty


def test_a_hierarchy_reads_back_as_it_was_written() -> None:
    for env in screens(30, seed=4):
        scene = env.device.scene
        again = read_hierarchy(write_hierarchy(scene.root))
        assert write_hierarchy(again) == write_hierarchy(scene.root)
        assert [element.line() for element in read_screen(again).elements] == [
            element.line() for element in scene.listing.elements
        ]


def test_the_xml_has_uiautomators_attributes_in_its_order() -> None:
    env = SPEC.make(Split.TRAIN)
    env.reset(seed=0)
    (first, *_) = ElementTree.fromstring(env.hierarchy().encode()).iter("node")
    assert list(first.attrib) == [
        "index", "text", "resource-id", "class", "package", "content-desc", "checkable", "checked", "clickable",
        "enabled", "focusable", "focused", "scrollable", "long-clickable", "password", "selected", "bounds",
    ]  # fmt: skip
    assert first.attrib["bounds"] == "[0,0][360,640]"


def test_any_text_survives_the_xml_as_far_as_xml_can_hold_it() -> None:
    awkward = 'a <b> & "c"\n\t\r \x00\x1b\ufffe emoji \U0001f600 é'
    node = Node("android.widget.TextView", Bounds(0, 0, 9, 9), awkward)
    assert read_hierarchy(write_hierarchy(node)).text == awkward.replace("\x00", ".").replace(
        "\x1b", "."
    ).replace("\ufffe", ".")


@pytest.mark.parametrize(
    "xml", ["", "ERROR: could not get idle state.", "<node/>", "<hierarchy><node bounds='x'/></hierarchy>"]
)
def test_what_is_no_hierarchy_is_refused(xml: str) -> None:
    with pytest.raises(UsageError, match="No view hierarchy"):
        read_hierarchy(xml)


def test_lists_scroll_by_whole_rows_to_both_ends() -> None:
    rows = [Item(f"row {number}", "below" if number % 3 else "") for number in range(40)]
    screen, seen, first = Screen("Many", rows), set[str](), 0
    while True:
        layout = lay_out(screen, "test", "", first)
        seen |= {element.text for element in layout.root.walk() if element.text.startswith("row")}
        if not layout.more_below:
            break
        first += layout.shown
    assert seen == {row.title for row in rows}
    assert lay_out(screen, "test", "", 10_000).first == layout.first


def test_text_wraps_at_spaces_and_inside_long_words() -> None:
    assert wrap("one two three", 7) == ["one two", "three"]
    assert wrap("abcdefghij kl", 4) == ["abcd", "efgh", "ij", "kl"]
    assert Text("").height > 0
