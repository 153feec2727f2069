"""The world's README shows what really happens and gives the figures that hold."""

import re
import subprocess
import sys
from pathlib import Path

import agentgym
from agentgym.core.task import Split
from agentgym.environments import household
from agentgym.environments.household.layouts import SIZES
from agentgym.environments.household.tasks import HouseholdSuite
from agentgym.environments.household.world import TaskType

README = Path(household.__file__).with_name("README.md").read_text("utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_code_runs() -> None:
    (code,) = _blocks("python")
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_transcript_is_what_happens() -> None:
    (transcript,) = _blocks("text")
    opening, *turns = transcript.rstrip("\n").split("\n> ")
    (task_id,) = re.findall(r"Task `([\w-]+)`", README)
    env = agentgym.make("household", split=task_id.partition("-")[0])
    assert env.reset(options={"task": task_id})[0] == opening
    results = [(turn.split("\n", 1)[1], env.step(turn.split("\n", 1)[0])) for turn in turns]
    assert [shown for shown, _ in results] == [result[0] for _, result in results]
    assert [result[1:4] for _, result in results[-2:]] == [(0.0, False, False), (1.0, True, False)]


def test_the_figures_hold() -> None:
    suite = HouseholdSuite()
    for split in Split:
        groups = sorted({task.group for task in suite.tasks(split)})
        for group in groups:
            count = sum(task.group == group for task in suite.tasks(split))
            cells = len(TaskType) * len(SIZES)
            name = f"`{split}`, group `{group}`" if group else f"`{split}`"
            assert f"| {name} | {count:,} | {count // cells:,} |" in README
    layouts = {group: set[str]() for group in ("", "seen", "unseen")}
    for split in Split:
        for task in suite.tasks(split):
            layouts[task.group].add(task.params["layout"])
    assert f"the {len(layouts[''])} layouts" in README
    assert f"in {len(layouts['unseen'])} other layouts" in README
    for difficulty, size in SIZES.items():
        ranges = [f"{low}-{high}" for low, high in (size.receptacles, size.things)]
        surplus = f"up to {size.decoys}" if size.decoys else "none"
        assert (
            f"| `{difficulty}` | {ranges[0]} | {ranges[1]} | {size.hidden:.0%}".replace("%", " %") in README
        )
        assert f"| {surplus} |" in README


def test_every_task_type_is_described() -> None:
    for kind in TaskType:
        assert f"| `{kind.value}` | `{kind.name.lower()}` |" in README
