"""What training used of a turn and its tokens is shown, and what is worked out again says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from playwright.sync_api import expect

from agentgym.store.lessons import Lesson
from agentgym.store.store import Store
from tests.serving.viewer.conftest import Tab
from tests.serving.viewer.stand import good_and_bad, make_run, served

RUN = "/runs/tiny/tiny"


def test_the_page_tells_what_training_used(tab: Tab, root: Path) -> None:
    folder = make_run(root, "tiny", good_and_bad())
    lesson = Lesson(
        "e/good",
        0,
        np.array([0.125, -1.5], np.float32),
        np.array([0.125, 0.25, -1.5, -1.5], np.float32),
        np.array([1.0, 1.5, 0.8, 0.8], np.float32),
        np.array([False, False, True, True]),
    )
    with Store(folder / "store.sqlite") as store:
        store.write_lessons("tiny", [lesson, Lesson("e/good", 7, *(one * 0 for one in _columns(lesson)))])
    with served(root) as viewer:
        page = tab.open(viewer, f"{RUN}/episodes/e/good")
        expect(page.locator(".used")).to_have_text(
            "Advantages by step group, as training used them in iteration 0; learned from again in 7."
        )
        facts = page.locator(".turn .facts").all_inner_texts()
        assert "advantage +0.12 · ratio 1.225" in facts[0]
        assert "advantage \N{MINUS SIGN}1.50 · ratio 0.800 · 2 clipped" in facts[1]
        page.locator("#turn-0 summary", has_text="token ids").click()
        token = page.locator("#turn-0 .tokens span").nth(1)
        colours = set[str]()
        for mode in ("log-probability", "advantage", "ratio", "none"):
            page.get_by_label(mode).check()
            colours.add(token.evaluate("one => getComputedStyle(one).backgroundColor"))
        assert len(colours) == 4
        assert token.get_attribute("title") == (
            "token 8, log-probability -4.000 (1.8%), advantage +0.2500, ratio 1.5000"
        )
        tab.open(viewer, f"{RUN}/groups/g")
        expect(page.locator(".heading")).to_contain_text("advantages by step group, as training used them")
    assert tab.complaints == []


def test_what_is_worked_out_again_says_so(tab: Tab, root: Path) -> None:
    make_run(root, "tiny", good_and_bad())
    with served(root) as viewer:
        page = tab.open(viewer, f"{RUN}/episodes/e/good")
        expect(page.locator(".used")).to_have_text(
            "Advantages by step group, worked out again from this group: training kept none."
        )
        expect(page.get_by_label("ratio")).to_be_disabled()


def _columns(lesson: Lesson) -> tuple[np.ndarray, ...]:
    return lesson.advantage_R, lesson.advantage_N, lesson.ratio_N, lesson.clipped_N
