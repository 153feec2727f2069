"""The viewer over 100,000 episodes: first paint in Chromium, and filters; and the pictures in `docs/`.

python benchmarks/viewer.py                            # figures, with a store made for it
python benchmarks/viewer.py --screenshots runs/NAME    # docs/viewer_run.png, docs/viewer_episode.png
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from agentgym.core.message import Message
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode, Outcome, StopReason, Turn
from agentgym.environments.browser.chromium import ARGUMENTS, find_chromium
from agentgym.serving.viewer.server import Viewer
from agentgym.store.store import Store

DOCS = Path(__file__).parents[1] / "docs"
TURNS = 12
REPEATS = 7
BATCH = 500
PLACES = ("fridge", "cabinet", "microwave", "drawer", "countertop", "shelf", "sinkbasin", "safe")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=100_000)
    parser.add_argument("--screenshots", type=Path, metavar="RUN", help="a training run's directory")
    chosen = parser.parse_args()
    if chosen.screenshots is not None:
        with served(chosen.screenshots.parent) as viewer, chromium() as browser:
            take_screenshots(viewer, browser, chosen.screenshots.name)
        return
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        size = write_run(Path(folder) / "big", chosen.episodes)
        print(
            f"{chosen.episodes:,} episodes of {TURNS} turns, {size / 2**20:,.0f} MB, written in {time.perf_counter() - began:.0f} s"
        )
        with served(Path(folder)) as viewer, chromium() as browser:
            measure(viewer, browser)


@contextlib.contextmanager
def served(root: Path) -> Generator[Viewer]:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    viewer = Viewer(root)
    asyncio.run_coroutine_threadsafe(viewer.__aenter__(), loop).result()
    yield viewer
    asyncio.run_coroutine_threadsafe(viewer.__aexit__(None, None, None), loop).result()
    loop.call_soon_threadsafe(loop.stop)


@contextlib.contextmanager
def chromium() -> Generator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))


def measure(viewer: Viewer, browser: Browser) -> None:
    """Print the median and the slowest of some repeats, the first of which fills the caches and is left out."""
    page = browser.new_context().new_page()
    page.goto(viewer.link())
    run = "/runs/big/big"
    paths = {
        "runs": "/",
        "run": run,
        "episodes": f"{run}/episodes",
        "middle of the list": f"{run}/episodes?before=50000",
        "an episode": f"{run}/episodes/e50000",
        "its group": f"{run}/groups/g6250",
        "outcome": f"{run}/episodes?outcome=success",
        "outcome that is nowhere": f"{run}/episodes?outcome=cancelled",
        "task": f"{run}/episodes?task=task-77",
        "task that is nowhere": f"{run}/episodes?task=nothing",
        "action": f"{run}/episodes?action=fridge",
        "action that is nowhere": f"{run}/episodes?action=nothing",
        "error": f"{run}/episodes?error=fell",
        "all filters": f"{run}/episodes?outcome=env_error&phase=train&task=task-7&action=drawer&error=fell",
    }
    print("| page or filter | answer, ms (slowest) | first paint, ms (slowest) |\n|---|---|---|")
    for name, path in paths.items():
        times = [visit(page, viewer.url + path) for _ in range(REPEATS + 1)][1:]
        answers, paints = zip(*times, strict=True)
        cells = [f"{statistics.median(ms):.0f} ({max(ms):.0f})" for ms in (answers, paints)]
        print(f"| {name} | {cells[0]} | {cells[1]} |", flush=True)


def visit(page: Page, url: str) -> tuple[float, float]:
    """Return the milliseconds until a page's last byte was there, and until something was painted."""
    page.goto(url, wait_until="domcontentloaded")
    painted = page.evaluate(
        "new Promise(done => new PerformanceObserver(list => list.getEntriesByName('first-contentful-paint')"
        ".forEach(entry => done(entry.startTime))).observe({type: 'paint', buffered: true}))"
    )
    return page.evaluate("performance.getEntriesByType('navigation')[0].responseEnd"), painted


def write_run(folder: Path, count: int) -> int:
    """Write a run and return its size in bytes."""
    with Store(folder / "store.sqlite") as store:
        store.create_run("big", "train", config={"name": "big"}, versions={})
        for iteration in range(200):
            store.log_metrics("big", iteration, {"success": iteration / 200, "kl": 0.1, "entropy": 1.0})
        for start in range(0, count, BATCH):
            store.write_episodes("big", episodes(start, min(count, start + BATCH)), iteration=start // BATCH)
    return sum(path.stat().st_size for path in folder.iterdir())


def episodes(start: int, end: int) -> Iterator[Episode]:
    ids = np.arange(30, dtype=np.int32)
    logprobs, mask = np.full(30, -0.2, np.float32), np.ones(30, np.int8)
    for n in range(start, end):
        lost = n % 100 == 0
        turns = [
            Turn(
                observation=f"You arrive at {PLACES[(n + t) % 8]} {t}. On it, you see a cup {n % 9} and a book {t}. " * 2,
                action=f"go to {PLACES[(n * 7 + t) % 8]} {n % 12}",
                reward=float(t == TURNS - 1 and n % 3 == 0),
                terminated=t == TURNS - 1,
                truncated=False,
                valid=True,
                state_key=f"{n // 8}-{t}",
                policy_version=0,
                prompt_start=60 * t,
                prompt_ids=ids,
                completion_ids=ids,
                logprobs=logprobs,
                loss_mask=mask,
                messages_delta=(Message("assistant", f"go to {PLACES[(n * 7 + t) % 8]} {n % 12}"),),
            )
            for t in range(TURNS)
        ]  # fmt: skip
        outcome = Outcome.ENV_ERROR if lost else Outcome.SUCCESS if n % 3 == 0 else Outcome.FAILURE
        yield Episode(
            id=f"e{n}",
            task=Task(f"task-{n % 1000}", "bench/Viewer-v0", Split.TRAIN, params={"goal": "x" * 200}),
            group_id=f"g{n // 8}",
            turns=turns,
            outcome=outcome,
            score=None if lost else float(sum(turn.reward for turn in turns)),
            stop_reason=StopReason.ERROR if lost else StopReason.COMPLETED,
            seed=n,
            error="The world fell over." if lost else None,
        )


def take_screenshots(viewer: Viewer, browser: Browser, name: str) -> None:
    """Write the pictures: the run, in light colours, and the longest of the episodes last solved, in dark."""
    pictures: tuple[tuple[Literal["light", "dark"], str], ...]
    pictures = (("light", "viewer_run.png"), ("dark", "viewer_episode.png"))
    for scheme, file in pictures:
        page = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 800}).new_page()
        page.goto(viewer.link())
        page.get_by_role("link", name=name, exact=True).click()
        for image in page.locator("figure img").all()[:6]:
            image.evaluate("image => image.decode()")
        if file == "viewer_episode.png":
            page.goto(f"{page.url}/episodes?outcome=success")
            turns = [int(cell) for cell in page.locator("tbody td:nth-child(4)").all_inner_texts()]
            page.locator("tbody a.row").nth(turns.index(max(turns))).click()
            page.locator("article").first.wait_for()
        page.screenshot(path=DOCS / file)
        print(DOCS / file, (DOCS / file).stat().st_size)


if __name__ == "__main__":
    main()
