"""What a customer wants, and what a purchase is worth to them: the reward of WebShop.

Source: Yao et al., "WebShop: Towards Scalable Real-World Web Interaction with Grounded Language Agents", 2022,
equation 1 and appendix, with the matching rules of the released code:

    r = r_type * (attributes matched + options matched + [price within the limit]) / (attributes + options + 1)

An attribute is matched by one of the product's with a token set ratio above 85, or where the product's texts contain
it; an option by the chosen value, exactly for sizes and above the same ratio otherwise, colours by their basic
colour. r_type is 1 where the purchase is of the same kind, has two levels of its category in common, or a
fifth of the words that name it; else 0.5, 0.1 where fewer than a tenth of these words agree, and 0 where none does.
Departures: the words that name a product are those of its brand, line and kind, where the released code has a tagger
find the nouns of the title; and options count as matched at most as often as they were asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rapidfuzz.fuzz import token_set_ratio

from agentgym.core.errors import TaskError
from agentgym.core.task import Task
from agentgym.environments.webshop.catalogue import PRODUCTS, Product, product
from agentgym.environments.webshop.vocabulary import COLOURS

_ALIKE = 85
_EXACT = frozenset({"size"})
_BASIC_COLOURS = tuple(dict.fromkeys(colour.split("_")[-1] for colour in COLOURS.split()))


@dataclass(frozen=True)
class Goal:
    """What is to be bought."""

    product: Product
    """One that fits."""
    attributes: tuple[str, ...]
    options: Mapping[str, str]
    price: int
    """Most dollars to spend."""
    instruction: str

    @classmethod
    def of(cls, task: Task) -> Goal:
        """Read a task; raises `TaskError` where it is none of the shop's."""
        params: Mapping[str, Any] = task.params
        try:
            number = int(params["product"])
            if not 0 <= number < PRODUCTS:
                raise ValueError(f"there is no product {number}")
            return cls(
                product(number),
                tuple(map(str, params["attributes"])),
                {str(option): str(value) for option, value in params["options"].items()},
                int(params["price"]),
                str(params["instruction"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TaskError(f"Task {task.id!r} cannot be played in the shop: {error!r}.") from None


def reward(goal: Goal, bought: Product, chosen: Mapping[str, str]) -> float:
    """Return what a purchase with the chosen options is worth, from 0 to 1."""
    wanted = len(goal.attributes) + len(goal.options) + 1
    matched = sum(_has(bought, attribute) for attribute in goal.attributes)
    matched += min(sum(_meets(goal, bought, *choice) for choice in chosen.items()), len(goal.options))
    matched += bought.price <= goal.price
    return _same_type(goal.product, bought) * matched / wanted


def _same_type(wanted: Product, bought: Product) -> float:
    if wanted.category == bought.category:  # the released code's query and category
        return 1.0
    names, others = _names(wanted), _names(bought)
    share = len(names & others) / len(names)
    if share == 0.0:
        return 0.0
    if share < 0.1:
        return 0.1
    return 1.0 if share > 0.2 else 0.5


def _names(each: Product) -> set[str]:
    return {each.brand.lower(), each.line.lower(), *each.kind.name.split()}


def _has(bought: Product, attribute: str) -> bool:
    alike = any(token_set_ratio(own, attribute) > _ALIKE for own in bought.attributes)
    return alike or _mentions(bought, attribute)


def _meets(goal: Goal, bought: Product, option: str, value: str) -> bool:
    """Whether a chosen value is one that was asked for."""
    value, wanted = _basic(value), [_basic(each) for each in goal.options.values()]
    if option in _EXACT:
        matched = value in wanted
    else:
        matched = any(token_set_ratio(each, value) > _ALIKE for each in wanted)
    return matched or _mentions(bought, value)


def _mentions(bought: Product, words: str) -> bool:
    texts = (bought.title, " ".join(bought.features), bought.description)
    return any(words in text.lower() for text in texts)


def _basic(value: str) -> str:
    """Return the basic colour that a value names, or the value."""
    return next((colour for colour in _BASIC_COLOURS if colour in value), value)
