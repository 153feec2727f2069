"""The catalogue, the full-text search over it, and the tasks made from it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from agentgym.core.errors import EnvironmentFault, TaskError, UnknownNameError
from agentgym.core.task import Split
from agentgym.environments.webshop.catalogue import MEMBERS, PER_CATEGORY, PRODUCTS, code_of, product
from agentgym.environments.webshop.goal import Goal, reward
from agentgym.environments.webshop.stock import CACHE, build, open_stock
from agentgym.environments.webshop.tasks import COUNTS, DIFFICULTIES, WebshopSuite
from agentgym.environments.webshop.vocabulary import CATEGORIES


def test_there_are_many_products_of_forty_kinds() -> None:
    assert len(CATEGORIES) == 40
    assert PRODUCTS == 20_480
    assert len({code_of(number) for number in range(PRODUCTS)}) == PRODUCTS
    for number in range(0, PRODUCTS, 97):
        each = product(number)
        assert set(each.attributes) <= set(each.kind.attributes)
        assert len(set(each.attributes)) == 4
        assert all(set(values) <= set(dict(each.kind.options)[option]) for option, values in each.options)
        assert all(2 <= len(values) <= 4 for _, values in each.options)


def test_families_are_near_duplicates() -> None:
    family = [product(3 * PER_CATEGORY + n) for n in range(MEMBERS)]
    assert len({(each.brand, each.line, each.kind.name) for each in family}) == 1
    assert len({each.price for each in family}) > 3
    assert all(len(set(each.attributes) & set(family[0].attributes)) >= 2 for each in family)
    assert len({(each.attributes, each.options) for each in family}) == MEMBERS


def test_a_search_finds_what_has_all_its_words_first() -> None:
    stock = open_stock()
    found = [product(number) for number in stock.search("waterproof hiking boots, size 9")]
    assert 5 <= len(found) <= 50
    assert all({"waterproof"} <= set(each.attributes) and each.takes("size", "9") for each in found)
    assert stock.search("boot hike") == stock.search("boots hiking")
    assert stock.search("") == stock.search('"(*&') == ()
    assert stock.search("xyzzy green tea")
    assert stock.search("tea " * 10_000)
    assert stock.number(code_of(17)) == 17
    assert stock.number("nothing") is None


def test_the_database_is_the_same_each_time_and_never_half_there(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        build(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == paths


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match=CACHE):
        build(tmp_path / "file" / "webshop.sqlite")


def test_tasks_ask_for_what_there_is() -> None:
    suite = WebshopSuite()
    kinds = {split: {product(task.params["product"]).kind for task in suite.tasks(split)} for split in Split}
    assert {split: len(suite.tasks(split)) for split in Split} == COUNTS
    assert kinds[Split.TRAIN] == kinds[Split.SELECT]
    assert len(kinds[Split.TRAIN]) == 32
    assert len(kinds[Split.HELDOUT]) == 8
    assert not kinds[Split.TRAIN] & kinds[Split.HELDOUT]
    families = {split: {task.params["product"] // MEMBERS for task in suite.tasks(split)} for split in Split}
    assert not families[Split.TRAIN] & families[Split.SELECT]
    for split in Split:
        for task in suite.tasks(split)[:60]:
            goal = Goal.of(task)
            asked = DIFFICULTIES[task.difficulty]
            assert (len(goal.attributes), len(goal.options)) <= asked
            assert reward(goal, goal.product, goal.options) == 1.0
            for words in (goal.product.kind.name, str(goal.price), *goal.attributes, *goal.options.values()):
                assert words in goal.instruction
            assert suite.task(task.id) == task


def test_instructions_vary() -> None:
    tasks = WebshopSuite("medium").tasks(Split.TRAIN)
    shapes = Counter[str]()
    for task in tasks[:400]:
        goal = Goal.of(task)
        text = goal.instruction
        for word in (
            goal.product.kind.name,
            str(goal.price),
            *goal.attributes,
            *goal.options.values(),
            *goal.options,
        ):
            text = text.replace(word, "_")
        shapes[text] += 1
    assert len(shapes) > 100
    assert not any("  " in task.params["instruction"] or "{" in task.params["instruction"] for task in tasks)


def test_what_is_misspelt_is_answered() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'easy'"):
        WebshopSuite("eazy")
    with pytest.raises(TaskError, match="Did you mean 'train-easy-000"):
        WebshopSuite().task("train-easy-000")
    for wrong in ("train-hard-0000", "train-easy-5001", "select-easy-9999", "train-easy-²"):
        with pytest.raises(TaskError):
            WebshopSuite().task(wrong)
