"""Plays ALFWorld's own text engine. Runs in the engine's own virtual environment, imports nothing of ours.

Reads one JSON object a line: {"game": path, "commands": [...]}. Answers each with one line, lists that begin
with the reset: {"texts", "admissible", "scores", "dones", "seconds": [load, reset, all steps]}.

With `--stock` the engine is untouched. Otherwise what it parses again and again is remembered, which changes
its speed alone: one of the tests plays the same game both ways.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import sys
import tempfile
import time

STOCK = "--stock" in sys.argv[1:]
os.environ.setdefault("ALFWORLD_DATA", tempfile.mkdtemp(prefix="alfworld-"))

import textworld  # noqa: E402
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler  # noqa: E402
from textworld.envs import PddlEnv  # noqa: E402
from textworld.envs.pddl import logic, pddl, textgen  # noqa: E402
from textworld.logic import Rule  # noqa: E402


def remember_what_is_parsed() -> None:
    """Cache the two parsers, copy symbols shallowly, and keep the state that `load` has just made."""
    parse = functools.lru_cache(maxsize=None)(textgen._parse_and_convert)

    def copied(symbol):
        fresh = copy.copy(symbol)
        if isinstance(symbol, textgen.ListSymbol):
            fresh.symbol = copied(symbol.symbol)
        return fresh

    def parsed(text, rule_name, trace=False):
        return [copied(symbol) for symbol in parse(text, rule_name=rule_name)]

    def context_of(context):
        fresh = dict(context)
        fresh["variables"] = dict(context["variables"])
        fresh["mapping"] = dict(context["mapping"])
        return fresh

    def symbol_with(self, context):
        fresh = copied(self)
        fresh.context = context_of(context)
        return fresh

    def replace(self, start):
        state = start.context["state"]
        for rule in self._rules.get(str(start)) or ():
            if rule.condition:
                found = state.all_assignments(query(rule.condition), start.context["mapping"])
                if next(iter(found), None) is None:
                    continue
            symbols = [copied(symbol) for symbol in rule.rhs]
            for symbol in symbols:
                symbol.context = context_of(start.context)
            return symbols
        raise textgen.CSGUnknownSymbolError(start)

    query = functools.lru_cache(maxsize=None)(Rule.parse_conjunctive_query)
    Rule.parse_conjunctive_query = query
    textgen._parse_and_convert = parsed
    textgen.copy_context = context_of
    textgen.Symbol.copy = symbol_with
    textgen.ContextSensitiveGrammar.replace = replace
    logic_parse = functools.lru_cache(maxsize=None)(logic._PARSER.parse)
    logic._PARSER.parse = logic_parse
    make_state = logic.PddlState
    fresh_states = {}

    def state_of(library, problem, rules):
        """The reset after a load translates the same problem a second time; hand out the first result."""
        key = (id(rules), problem)
        if key in fresh_states:
            return fresh_states.pop(key)
        fresh_states.clear()
        return fresh_states.setdefault(key, make_state(library, problem, rules))

    logic.PddlState = state_of
    assert pddl.pddl_logic is logic


class Player:
    def __init__(self):
        self.env = AlfredDemangler(
            PddlEnv(textworld.EnvInfos(won=True, admissible_commands=True)), shuffle=False
        )

    def play(self, game, commands):
        clock = time.perf_counter
        started = clock()
        self.env.load(game)
        loaded = clock()
        states = [(self.env.reset(), 0, False)]
        reset = clock()
        for command in commands:
            states.append(self.env.step(command))
        done = clock()
        return {
            "texts": [state.feedback for state, _, _ in states],
            "admissible": [state["admissible_commands"] for state, _, _ in states],
            "scores": [score for _, score, _ in states],
            "dones": [over for _, _, over in states],
            "seconds": [loaded - started, reset - loaded, done - reset],
        }


def main():
    if not STOCK:
        remember_what_is_parsed()
    player = Player()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the engine prints must not mix with the answers
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(player.play(request["game"], request["commands"])) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
