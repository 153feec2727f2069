"""The world's README shows what really happens and gives the figures that hold."""

from agentgym.core.task import Split
from agentgym.environments import household
from agentgym.environments.household.layouts import SIZES
from agentgym.environments.household.tasks import HouseholdSuite
from agentgym.environments.household.world import TaskType
from tests.environments.readmes import assert_code_runs, assert_transcript_happens, readme_of

README = readme_of(household)


def test_the_code_runs() -> None:
    assert_code_runs(README)


def test_the_transcript_is_what_happens() -> None:
    assert_transcript_happens("household", README)


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
