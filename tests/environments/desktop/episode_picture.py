"""The picture of an episode in the desktop's README: `python -m tests.environments.desktop.episode_picture`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agentgym.core.task import Split
from agentgym.environments import desktop

TASK = "train-files_rename-000"
PICTURE = Path(desktop.__file__).with_name("episode.png")
_ACROSS, _SHOWN, _SIZE, _GAP = 3, 6, (400, 300), 8


def play() -> tuple[list[str], list[str], list[NDArray[np.uint8]], list[float]]:
    """Let the expert play; return its actions, the texts and pictures before and after each, and the rewards."""
    env = desktop.SPEC.make(Split.TRAIN, pictures=True)
    try:
        shown = [env.reset(options={"task": TASK})[0]]
        actions: list[str] = []
        rewards: list[float] = []
        while (action := env.oracle()) is not None:
            observation, reward, *_ = env.step(action)
            actions.append(action)
            shown.append(observation)
            rewards.append(reward)
    finally:
        env.close()
    seen = [(each["text"], each["image"]) for each in shown if isinstance(each, dict)]
    return (
        actions,
        [str(text) for text, _ in seen],
        [np.asarray(image, np.uint8) for _, image in seen],
        rewards,
    )


def picture(screens: list[NDArray[np.uint8]]) -> Image.Image:
    """Return the first six screens, at half their size, in rows of three."""
    (width, height), rows = _SIZE, _SHOWN // _ACROSS
    paper = Image.new("RGB", (_ACROSS * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP), "white")
    for number, screen in enumerate(screens[:_SHOWN]):
        place = (number % _ACROSS * (width + _GAP), number // _ACROSS * (height + _GAP))
        paper.paste(Image.fromarray(screen).resize(_SIZE, Image.Resampling.LANCZOS), place)
    return paper


if __name__ == "__main__":
    picture(play()[2]).quantize(64).save(PICTURE, optimize=True)
