"""The world's README shows what really happens and gives the figures that hold."""

from pathlib import Path

import numpy as np
from PIL import Image

from agentgym.core.task import Split
from agentgym.environments import phone
from agentgym.environments.phone.tasks import TASKS_PER_TEMPLATE, PhoneSuite
from agentgym.environments.phone.templates.catalogue import TEMPLATES
from tests.environments.phone.episode_picture import PICTURE, TASK, picture, play
from tests.environments.readmes import assert_code_runs, blocks, readme_of

README = readme_of(phone)


def test_the_code_runs() -> None:
    assert_code_runs(README)


def test_the_transcript_and_its_picture_are_what_happens() -> None:
    actions, texts, screens = play()
    transcript = blocks(README, "text")[0]
    told = [texts[0], *(f"> {action}\n{text}" for action, text in zip(actions, texts[1:], strict=True))]
    assert transcript == "\n".join(told) + "\n"
    assert f"`{TASK}`" in README
    assert np.array_equal(np.asarray(Image.open(PICTURE)), picture(screens))
    assert PICTURE.stat().st_size < 150_000


def test_the_figures_hold() -> None:
    suite = PhoneSuite()
    for split in Split:
        assert f"| `{split.value}` | {len(suite.tasks(split)):,} | {TASKS_PER_TEMPLATE[split]} |" in README
    for name, template in TEMPLATES.items():
        listed = f"*`{name}`*" if template.heldout else f"`{name}`"
        assert listed in README, name
    assert f"{len(TEMPLATES)} templates" in README
    assert f"{sum(template.heldout for template in TEMPLATES.values())} of them are held out" in README


def test_every_file_is_named() -> None:
    folder = Path(phone.__file__).parent
    for file in folder.rglob("*.py"):
        inside = file.relative_to(folder)
        named = inside.parts[0] + "/" if len(inside.parts) > 1 else inside.name
        assert f"`{named}`" in README or inside.name == "__init__.py", inside
