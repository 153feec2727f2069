"""Plays ALFWorld's own text engine. Runs in the engine's own virtual environment, imports nothing of ours.

Reads one JSON object a line: {"game": path, "episodes": [[command, ...], ...]}, and answers each with one line:
{"episodes": [[turn, ...], ...], "seconds": {"load", "resets", "steps"}}. A turn is [text, admissible commands,
score, done]; the first is the reset, with whether the game is won already in place of `done`.

With `--stock` the engine is untouched. Otherwise what it parses again and again is remembered, which changes
its speed alone: one of the tests plays the same game both ways.
"""

# The engine has no type information, and is not installed where types are checked.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import copy
import functools
import json
import os
import sys
import tempfile
import time

STOCK = "--stock" in sys.argv[1:]
os.environ.setdefault("ALFWORLD_DATA", tempfile.gettempdir())

import textworld
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
from textworld.envs import PddlEnv
from textworld.envs.pddl import logic, textgen
from textworld.logic import Rule


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
    # Each load and reset translates the same problem twice.
    logic.fast_downward.pddl2sas = functools.lru_cache(maxsize=4)(logic.fast_downward.pddl2sas)


class Player:
    def __init__(self):
        self.env = AlfredDemangler(
            PddlEnv(textworld.EnvInfos(won=True, admissible_commands=True)), shuffle=False
        )

    def play(self, game, episodes):
        clock = time.perf_counter
        started = clock()
        self.env.load(game)
        seconds = {"load": clock() - started, "resets": 0.0, "steps": 0.0}
        return {"episodes": [self.episode(commands, seconds) for commands in episodes], "seconds": seconds}

    def episode(self, commands, seconds):
        clock = time.perf_counter
        started = clock()
        first = self.env.reset()
        begun = clock()
        turns = [[first.feedback, first["admissible_commands"], 0, first["won"]]]
        for command in commands:
            state, score, done = self.env.step(command)
            turns.append([state.feedback, state["admissible_commands"], score, done])
        seconds["resets"] += begun - started
        seconds["steps"] += clock() - begun
        return turns


def main():
    if not STOCK:
        remember_what_is_parsed()
    player = Player()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the engine prints must not mix with the answers
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(player.play(request["game"], request["episodes"])) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
