"""The picture of an episode in the phone's README: `python -m tests.environments.phone.episode_picture`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agentgym.core.task import Split
from agentgym.environments import phone

TASK = "select-several_event_to_alarm-001"
PICTURE = Path(phone.__file__).with_name("episode.png")
_ACROSS, _GAP = 5, 12


def play() -> tuple[list[str], list[str], list[NDArray[np.uint8]]]:
    """Let the expert play, and return its actions with the texts and pictures before and after each."""
    env = phone.SPEC.make(Split.SELECT, pictures=True)
    observation = env.reset(options={"task": TASK})[0]
    actions: list[str] = []
    observations = [observation]
    while (action := env.oracle()) is not None:
        actions.append(action)
        observations.append(env.step(action)[0])
    shown = [(each["text"], each["image"]) for each in observations if isinstance(each, dict)]
    return actions, [str(text) for text, _ in shown], [np.asarray(image, np.uint8) for _, image in shown]


def picture(screens: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return screens side by side, in rows of five; the last one is left out where it repeats the one before."""
    height, width, _ = screens[0].shape
    rows = -(-len(screens) // _ACROSS)
    paper = np.full((rows * (height + _GAP) - _GAP, _ACROSS * (width + _GAP) - _GAP, 3), 255, np.uint8)
    for number, screen in enumerate(screens):
        top, left = (number // _ACROSS) * (height + _GAP), (number % _ACROSS) * (width + _GAP)
        paper[top : top + height, left : left + width] = screen
    return paper


if __name__ == "__main__":
    Image.fromarray(picture(play()[2])).save(PICTURE, optimize=True)
