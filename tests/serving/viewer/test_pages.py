"""What the pages show, in a real browser."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from agentgym.core.trace import Outcome
from agentgym.serving.viewer.pages import signed
from agentgym.serving.viewer.server import Viewer
from agentgym.store.store import Store
from agentgym.store.tables import RunStatus
from tests.serving.viewer.conftest import Tab
from tests.serving.viewer.stand import episode, make_run, served, turn

RUN = "/runs/tiny/tiny"


def test_runs_are_listed_with_what_came_of_them(tab: Tab, viewer: Viewer) -> None:
    page = tab.open(viewer, "/")
    assert "token" not in page.url
    row = page.locator("tbody tr")
    expect(row).to_contain_text("tiny")
    assert row.locator("td").all_inner_texts()[:5] == ["running", "train", "3", "3", "50.0%"]
    assert row.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 50
    row.get_by_role("link", name="tiny").click()
    expect(page.get_by_role("heading", name="tiny")).to_be_visible()
    assert tab.complaints == []


def test_a_run_has_its_curves_configuration_versions_and_errors(tab: Tab, viewer: Viewer) -> None:
    page = tab.open(viewer, RUN)
    charts = page.locator("figure")
    assert charts.locator("b").all_inner_texts() == ["Success", "KL", "Token rates", "No-signal groups"]
    for image in charts.locator("img").all():
        image.scroll_into_view_if_needed()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 200
    expect(page.get_by_text("The world fell over.")).to_be_visible()
    page.get_by_text("As it was resolved").click()
    expect(page.get_by_text('"name": "step_group"')).to_be_visible()
    assert (
        page.get_by_role("link", name="env error 1").get_attribute("href")
        == f"{RUN}/episodes?outcome=env_error"
    )
    assert tab.complaints == []


def test_charts_follow_the_colours_of_the_page(tab: Tab, viewer: Viewer) -> None:
    tab.page.emulate_media(color_scheme="dark")
    tab.open(viewer, "/").locator("img.spark").evaluate("image => image.decode()")
    dark = [url for url in tab.requests if "/sparklines/" in url]
    assert dark
    assert all(url.endswith("theme=dark") for url in dark)


def test_an_episode_is_told_turn_by_turn(tab: Tab, viewer: Viewer) -> None:
    page = tab.open(viewer, f"{RUN}/episodes/e/good")
    first, second, final = page.locator("article").all()
    expect(first).to_contain_text("A fork in the road.")
    assert "reward 0 · return +0.50 · advantage +0.75 · 1 other turn stood here" in first.inner_text()
    expect(final).to_contain_text("You have tea.")
    image = second.locator("img.screen")
    assert image.evaluate(
        "image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])"
    ) == [6, 4]
    expect(second.get_by_text("[1] button 'Buy'")).to_be_hidden()
    second.get_by_text("Accessibility tree and text").click()
    expect(second.get_by_text("[1] button 'Buy'")).to_be_visible()
    expect(second.get_by_text("Memory shown: hint@1")).to_be_visible()
    expect(second.locator(".call pre")).to_contain_text('"what": "tea"')
    second.get_by_text("2 token ids").click()
    tokens = second.locator("span.tokens span")
    assert tokens.evaluate_all("all => all.map(one => one.className)") == ["t0 a2", "t6 a2"]
    assert tokens.last.get_attribute("title") == "token 8, log-probability -4.000 (1.8%)"
    assert tab.complaints == []


def test_keys_go_from_turn_to_turn_and_the_address_follows(tab: Tab, viewer: Viewer) -> None:
    page = tab.open(viewer, f"{RUN}/episodes/e/good")
    for key, place in (("j", "#turn-0"), ("j", "#turn-1"), ("k", "#turn-0"), ("k", "#turn-0")):
        page.keyboard.press(key)
        assert page.evaluate("location.hash") == place
        assert page.evaluate("'#' + document.activeElement.id") == place
    page.goto(f"{viewer.url}{RUN}/episodes/e/good#turn-1")
    assert page.locator(".strip [aria-current]").inner_text() == "1"


def test_tokens_or_whole_answers_are_coloured(tab: Tab, viewer: Viewer) -> None:
    page = tab.open(viewer, f"{RUN}/episodes/e/bad")
    output = page.locator("#turn-0 .output").first
    colour = "one => getComputedStyle(one).backgroundColor"
    plain = output.evaluate(colour)
    page.get_by_label("advantage").check()
    assert output.evaluate(colour) != plain
    page.get_by_label("none").check()
    assert output.evaluate(colour) == plain


def test_a_group_is_shown_side_by_side_with_the_states_it_shared(tab: Tab, viewer: Viewer) -> None:
    page = tab.open(viewer, f"{RUN}/episodes/e/good")
    with page.expect_navigation():
        page.get_by_role("link", name="1 other turn stood here").click()
    assert (
        page.evaluate("decodeURIComponent(location.pathname + location.hash)") == f"{RUN}/groups/g#state-fork"
    )
    rows = page.locator("table.group tbody tr").all()
    assert [row.locator("td").all_inner_texts() for row in rows] == [
        ["go right 1", "go left 1"],
        ["push wall", 'buy({"what": "tea"}) +1.00'],
    ]
    visits = page.locator("#state-fork tbody tr").all()
    assert [visit.locator("td").all_inner_texts() for visit in visits] == [
        ["go left", "0", "+0.50", "+0.75", "success"],
        ["go right", "0", "0", signed(-0.75), "failure"],
    ]  # fmt: skip
    assert tab.complaints == []


def test_episodes_are_filtered(tab: Tab, viewer: Viewer) -> None:
    page = tab.open(viewer, f"{RUN}/episodes")
    names = page.locator("a.row")
    assert names.all_inner_texts() == ["e/lost", "e/bad", "e/good"]
    for label, text, found in (
        ("Action", "wall", ["e/bad"]),
        ("Action", "tea", ["e/good"]),
        ("Error", "fell", ["e/lost"]),
        ("Task", "no such", []),
    ):
        page.get_by_role("textbox", name=label).fill(text)
        with page.expect_navigation():
            page.get_by_role("button", name="Search").click()
        assert names.all_inner_texts() == found
        with page.expect_navigation():
            page.get_by_role("link", name="clear").click()
    page.get_by_label("Outcome").select_option("failure")
    with page.expect_navigation():
        page.get_by_role("button", name="Search").click()
    assert names.all_inner_texts() == ["e/bad"]
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.textContent") == "e/bad"


def test_a_run_is_live_while_it_trains(tab: Tab, root: Path) -> None:
    folder = make_run(root, "tiny", [], iterations=1)
    with served(root) as viewer, Store(folder / "store.sqlite") as store:
        page = tab.open(viewer, RUN)
        expect(page.locator(".live-mark")).to_be_visible()
        page.get_by_text("As it was resolved").click()
        store.log_metrics("tiny", 1, {"success": 0.875})
        store.write_episodes("tiny", [episode("new", [turn("a", "b")], Outcome.FAILURE)], iteration=1)
        expect(page.get_by_text("87.5%")).to_be_visible()
        expect(page.get_by_role("link", name="Browse 1 episodes")).to_be_visible()
        store.set_status("tiny", RunStatus.FINISHED)
        expect(page.get_by_text("finished")).to_be_visible()
        expect(page.get_by_text('"name": "step_group"')).to_be_visible()  # what was unfolded stays so
    assert tab.complaints == [] or all("ERR_" in line for line in tab.complaints)
