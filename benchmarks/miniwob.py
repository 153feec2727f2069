"""MiniWoB: how well the experts do, and how it compares with BrowserGym.

    python -m benchmarks.miniwob [--seeds 20] [--pages click-button login-user]
    python -m benchmarks.miniwob --browsergym .venv-browsergym/bin/python [--seeds 2]

The first loads every page twice, and plays those that have an expert. The second plays the same actions (right ones, and ones with the
first left out) on the same pages and seeds in both, in turns, and tells utterances, rewards and times of the two.
That Python needs an environment of its own: `pip install browsergym-core browsergym-miniwob`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.core.task import Split, Task
from agentgym.environments.browser.chromium import find_chromium
from agentgym.environments.browser.grammar import Call, parse
from agentgym.environments.browser.tree import Element
from agentgym.environments.miniwob import SPEC
from agentgym.environments.miniwob.env import MiniwobEnv
from agentgym.environments.miniwob.oracle import known_pages
from agentgym.environments.miniwob.tasks import html_folder, page_names

COMPARED = (
    "choose-list",
    "circle-center",
    "click-button",
    "click-button-sequence",
    "click-checkboxes",
    "click-color",
    "click-dialog-2",
    "click-option",
    "click-scroll-list",
    "click-tab",
    "click-test",
    "click-test-2",
    "enter-password",
    "enter-text",
    "focus-text-2",
    "form-sequence-2",
    "grid-coordinate",
    "login-user",
    "simple-arithmetic",
    "use-spinner",
)
"""Pages whose actions mean the same elements in both trees."""


@dataclass
class Played:
    """An episode of ours."""

    utterance: str
    raw: float = 0.0
    reason: str = ""
    actions: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    reset_s: float = 0.0
    steps_s: float = 0.0


def task_on(page: str, seed: int) -> Task:
    """Return the task of any seed on a page, in the split that the page belongs to."""
    suite = SPEC.suite(pages=[page])
    tasks = suite.tasks(Split.TRAIN) or suite.tasks(Split.HELDOUT)
    return replace(tasks[0], id=f"{page}-{seed}", seed=seed)


def described(call: Call, elements: Mapping[int, Element]) -> Mapping[str, Any]:
    """Say which element an action means, without its number."""
    arguments: list[Any] = list(call.arguments)
    if call.verb in ("click", "fill", "select_option"):
        meant = elements[int(call.arguments[0])]
        alike = [one.id for one in elements.values() if (one.role, one.name) == (meant.role, meant.name)]
        arguments[0] = {"role": meant.role, "name": meant.name, "nth": alike.index(meant.id)}
    return {"verb": call.verb, "arguments": arguments}


def numbered(action: Mapping[str, Any], elements: Mapping[int, Element]) -> str:
    """Write such an action for the page as it is now."""
    arguments: list[Any] = list(action["arguments"])
    if isinstance(arguments[0], Mapping):
        wanted: Mapping[str, Any] = action["arguments"][0]
        alike = [
            one.id for one in elements.values() if (one.role, one.name) == (wanted["role"], wanted["name"])
        ]
        arguments[0] = alike[wanted["nth"]]
    return str(Call(action["verb"], tuple(arguments)))


def play(env: MiniwobEnv, task: Task, script: Sequence[Mapping[str, Any]] | None = None) -> Played:
    """Play a task, by the expert or as the script says."""
    started = time.perf_counter()
    _, info = env.reset(options={"task": task})
    played = Played(info["instruction"], reset_s=time.perf_counter() - started)
    waiting = None if script is None else list(script)
    while True:
        if waiting is None:
            action = env.oracle()
        else:
            action = numbered(waiting.pop(0), env.elements) if waiting else None
        if action is None:
            return played
        played.actions.append(described(parse(action), env.elements))
        started = time.perf_counter()
        _, _, terminated, truncated, info = env.step(action)
        played.steps_s += time.perf_counter() - started
        played.raw, played.reason = info["raw_reward"], info.get("reason", "")
        if terminated or truncated:
            return played


def experts(pages: Sequence[str], seeds: int) -> None:
    """Play every page with every seed."""
    good, steps, started = 0, 0, time.perf_counter()
    print("| page | right | of |\n|---|---|---|")
    for page in pages:
        task = task_on(page, 0)
        env = SPEC.make(task.split, pages=[page])
        played = [play(env, task_on(page, seed)) for seed in range(seeds)]
        env.close()
        right = sum(one.raw > 0 for one in played)
        good += right >= 0.95 * seeds
        steps += sum(len(one.actions) for one in played)
        print(f"| {page} | {right} | {seeds} |", flush=True)
    took = time.perf_counter() - started
    print(
        f"\n{good} of {len(pages)} pages with at least 95 % right; {steps / took:.1f} steps a second, resets included"
    )


def loads() -> None:
    """Load every page twice."""
    same = 0
    for page in page_names():
        task = task_on(page, 7)
        env = SPEC.make(task.split, pages=[page])
        looks: list[Any] = []
        for _ in range(2):
            looks.append((env.reset(options={"task": task}), env.state_key()))
        env.close()
        same += looks[0] == looks[1] and bool(looks[0][0][1]["instruction"])
    print(f"{same} of {len(page_names())} pages load, ask for something, and are the same twice\n")


def peer(python: str) -> subprocess.Popen[str]:
    """Start BrowserGym, with the Chromium of this machine in the place where its Playwright looks for one."""
    browsers = Path(tempfile.mkdtemp(prefix="browsers-"))
    for revision in range(1100, 1300):
        place = browsers / f"chromium-{revision}" / "chrome-linux"
        place.mkdir(parents=True)
        (place / "chrome").symlink_to(find_chromium())
    settings = {
        **os.environ,
        "MINIWOB_URL": f"{(html_folder() / 'miniwob').as_uri()}/",
        "PLAYWRIGHT_BROWSERS_PATH": str(browsers),
    }
    script = Path(__file__).with_name("peers") / "browsergym_miniwob.py"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([python, "-W", "ignore", str(script)], text=True, env=settings, **pipes)  # pyright: ignore[reportCallIssue, reportArgumentType]


def ask(process: subprocess.Popen[str], episode: Mapping[str, Any]) -> dict[str, Any]:
    """Have the peer play an episode."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(episode) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def compare(python: str, pages: Sequence[str], seeds: int) -> None:
    """Play the same in both, in turns."""
    process = peer(python)
    same_words = same_rewards = right = 0
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for page in pages:
        env = SPEC.make(task_on(page, 0).split, pages=[page])
        for seed in range(seeds):
            # BrowserGym draws the page's seed from its own.
            task = task_on(page, int(np.random.RandomState(seed).randint(0, 1_000_000)))
            expert = play(env, task)
            for script in (
                [expert.actions, expert.actions[1:]] if len(expert.actions) > 1 else [expert.actions]
            ):
                mine = play(env, task, script)
                other = ask(process, {"page": page, "seed": seed, "actions": script})
                same_words += mine.utterance == " ".join(other["utterance"].split())
                same_rewards += (mine.raw > 0) == (other["reward"] > 0)
                right += mine.raw > 0
                count = max(len(script), 1)
                ours.append((mine.reset_s, mine.steps_s / count))
                theirs.append((other["reset_s"], other["steps_s"] / count))
                if (mine.raw > 0) != (other["reward"] > 0) or mine.utterance != other["utterance"]:
                    print(f"{page} {seed}: {mine.raw} {other} {script}")
        env.close()
        print(page, flush=True)
    process.terminate()
    total = len(ours)
    print(f"{total} episodes, {right} right: utterance equal {same_words}, reward equal {same_rewards}")
    for name, column in (("reset", 0), ("step", 1)):
        one, two = (statistics.median(times[column] for times in side) for side in (ours, theirs))
        print(f"{name}: {one * 1e3:.0f} ms against {two * 1e3:.0f} ms in the median, {two / one:.1f} times")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--pages", nargs="+")
    parser.add_argument("--browsergym", metavar="PYTHON")
    arguments = parser.parse_args()
    if arguments.browsergym:
        compare(arguments.browsergym, arguments.pages or COMPARED, arguments.seeds)
    else:
        loads()
        experts(arguments.pages or known_pages(), arguments.seeds)


if __name__ == "__main__":
    main()
