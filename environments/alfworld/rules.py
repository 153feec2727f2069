"""Whether a game file plays by the rules and in the words that are played here: those of ALFWorld 0.4."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache

from agentgym.environments.alfworld.pddl import Expression, PddlError, parse, show

_ACTIONS = {
    "cleanobject": "37d2d4011c48",
    "closeobject": "770e93f7411e",
    "coolobject": "ffb5e6ee4248",
    "examineobject": "69d2f83985d1",
    "examinereceptacle": "b242fdcc4a40",
    "gotolocation": "46ad01d88eed",
    "heatobject": "f1c259c2429c",
    "help": "924d9e373a27",
    "inventory": "924d9e373a27",
    "look": "5a4a706feb1b",
    "openobject": "119cf9e2b003",
    "pickupobject": "9b8d4a002bda",
    "putobject": "fa349a256cef",
    "sliceobject": "374d8e399acb",
    "toggleobject": "7bb1153ef0b4",
}
"""Digest of what each action needs and does, costs apart."""

_GRAMMAR = "27b65078358d"
"""Digest of the whole grammar, the task sentence and blanks apart."""

_ADVICE = (
    "Only games of alfworld 0.4 are played here. `alfworld-generate` of alfworld 0.4 makes such a game again "
    "from initial_state.pddl and traj_data.json, once the old game.tw-pddl is out of the way."
)
_TASK = re.compile(r'"Your task is to: ((?:[^"\\]|\\.)*?)\."')


@lru_cache(maxsize=4)
def check_domain(domain: str) -> None:
    """Raise `PddlError` when a domain's actions differ from those played here."""
    found = action_digests(domain)
    if differing := sorted(name for name in found.keys() | _ACTIONS if found.get(name) != _ACTIONS.get(name)):
        raise PddlError(f"Its rules differ in {', '.join(differing)}. {_ADVICE}")


def action_digests(domain: str) -> dict[str, str]:
    """Return, for each action of a PDDL domain, a digest of its meaning."""
    digests: dict[str, str] = {}
    for part in parse(domain):
        if isinstance(part, list) and part[:1] == [":action"] and len(part) > 1:
            digests[show(part[1])] = _digest(json.dumps([_without_costs(each) for each in part[2:]]))
    return digests


def instruction(grammar: str) -> str:
    """Return the task sentence of a game's grammar; raises `PddlError` when the grammar is another one."""
    found = _TASK.search(grammar)
    if found is None:
        raise PddlError('Its grammar has no sentence "Your task is to: ...".')
    _check_words(grammar[: found.start(1)] + grammar[found.end(1) :])
    return json.loads(f'"{found.group(1)}"')


@lru_cache(maxsize=4)
def _check_words(grammar: str) -> None:
    if grammar_digest(grammar) != _GRAMMAR:
        raise PddlError(f"Its grammar has other words or commands. {_ADVICE}")


def grammar_digest(grammar: str) -> str:
    """Return a digest of a grammar without its task sentence, whatever its line breaks and indentation."""
    return _digest("\n".join(line.strip() for line in grammar.splitlines() if line.strip()))


def _without_costs(expression: Expression) -> Expression:
    if isinstance(expression, str):
        return expression
    return [_without_costs(part) for part in expression if part[:1] != ["increase"]]


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
