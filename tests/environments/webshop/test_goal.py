"""The reward is WebShop's, worked by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentgym.core.errors import TaskError
from agentgym.core.task import Split
from agentgym.environments.webshop.catalogue import Product, product
from agentgym.environments.webshop.goal import Goal, reward
from agentgym.environments.webshop.tasks import WebshopSuite
from agentgym.environments.webshop.vocabulary import CATEGORIES

_CATEGORY = next(n for n, each in enumerate(CATEGORIES) if each.name == "running shoes")
_SANDALS = next(n for n, each in enumerate(CATEGORIES) if each.name == "sandals")
_TEA = next(n for n, each in enumerate(CATEGORIES) if each.name == "green tea")

WANTED = replace(
    product(_CATEGORY * 512),
    title="Norvik Glide waterproof breathable running shoes",
    brand="Norvik",
    line="Glide",
    attributes=("waterproof", "breathable", "non slip", "reflective"),
    options=(("size", ("9", "10")), ("color", ("navy blue", "red"))),
    price=60,
)
GOAL = Goal(WANTED, ("waterproof", "non slip"), {"size": "9", "color": "navy blue"}, 70, "")


@pytest.mark.parametrize(
    ("bought", "chosen", "worth"),
    [
        (WANTED, {"size": "9", "color": "navy blue"}, 5 / 5),
        (WANTED, {"size": "10", "color": "navy blue"}, 4 / 5),  # sizes exactly
        (WANTED, {"size": "9", "color": "sky blue"}, 5 / 5),  # colours by their basic colour
        (WANTED, {"size": "9", "color": "red"}, 4 / 5),
        (WANTED, {}, 3 / 5),
        (replace(WANTED, price=71), {"size": "9", "color": "navy blue"}, 4 / 5),
        (replace(WANTED, price=70), {"size": "9", "color": "navy blue"}, 5 / 5),
        (replace(WANTED, attributes=("waterproof", "wide fit")), {"size": "9", "color": "blue"}, 4 / 5),
        (replace(WANTED, attributes=("slip non", "waterproof")), {"size": "9", "color": "blue"}, 5 / 5),
        (
            replace(WANTED, attributes=("wide fit",), title="waterproof", line="x"),
            {},
            2 / 5,
        ),  # named in the title
        # Another kind: no word in common is worth nothing; "Norvik", one of four, makes it as good as the same.
        (replace(WANTED, category=_TEA, brand="Orrin", line="Jade"), {"size": "9", "color": "blue"}, 0.0),
        (replace(WANTED, category=_TEA, line="Jade"), {"size": "9", "color": "blue"}, 5 / 5),
    ],
)
def test_worked_examples(bought: Product, chosen: dict[str, str], worth: float) -> None:
    assert reward(GOAL, bought, chosen) == pytest.approx(worth)


def test_a_fifth_of_the_words_or_less_halves_the_worth() -> None:
    longer = replace(WANTED, brand="Norvik", line="Very Long")
    named = Goal(replace(longer, category=_SANDALS), ("waterproof",), {}, 70, "")
    assert reward(named, replace(longer, line="Other"), {}) == pytest.approx(1.0)  # one of three
    assert reward(named, replace(longer, line="Other", brand="Else"), {}) == 0.0


def test_a_goal_is_read_from_a_task_or_refused() -> None:
    task = WebshopSuite().tasks(Split.TRAIN)[0]
    assert Goal.of(task).instruction == task.params["instruction"]
    for wrong in ({}, {**task.params, "product": 10**9}, {**task.params, "options": ["red"]}):
        with pytest.raises(TaskError, match="cannot be played in the shop"):
            Goal.of(replace(task, params=wrong))
