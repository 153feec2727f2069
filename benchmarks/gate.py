"""What passes the gate that should not, and the reverse.

    python -m benchmarks.gate [--mutants 10] [--worlds 400]

Tests. Eight right tools, and as wrong ones all their first-order mutants that answer some call of their schema otherwise (up
to `--mutants` of each). A wrong tool's own tests say what it does, as where a model writes code and tests together: they
pass. Tried are its own tests, the blind tests of the schema alone, and the same with one and with three declared examples of
the right tool. Printed is the share of wrong tools that are turned away, and of right ones.

Replay. Made-up tasks that an agent solves with a probability of 0.2 to 0.8, and items that add a known lift. Printed is how
often an item is let in by the mean alone, by "better" alone, and what the gate says.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from agentgym.core.memory import MemoryItem
from agentgym.core.tool import ToolSpec
from agentgym.evaluation.compare import Comparison, Difference
from agentgym.evaluation.statistics import Interval, mean_interval, sign_flip_p_value, standard_error
from agentgym.evolution.gate.blind import SchemaTester
from agentgym.evolution.gate.mutants import mutants, spread
from agentgym.evolution.gate.replay import ReplaySettings, Verdict, judged
from agentgym.evolution.gate.samples import sample_arguments
from agentgym.memory.tools.document import CODE_FILE, Contract, Example, contract_of, tool_item
from agentgym.memory.tools.runner import TOOL_BOX, ToolRunner
from agentgym.sandboxes.backends import sandbox

RUNNER = ToolRunner(sandbox, replace(TOOL_BOX, wall_s=60, cpu_s=2))
EXAMPLES = (0, 1, 3)
"""Declared examples of the right tool."""
AT_ONCE = 2
TASKS, LIFTS, MARGIN = (40, 160), (-0.15, 0.0, 0.15, 0.3), ReplaySettings().margin

INTEGER = {"type": "integer", "minimum": 0, "maximum": 10_000}
NUMBERS = {
    "type": "array",
    "items": {"type": "integer", "minimum": -99, "maximum": 99},
    "minItems": 1,
    "maxItems": 9,
}
WORDS = {"type": "string", "minLength": 1, "maxLength": 60}

TOOLS: Mapping[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "split-bill": (
        {"cents": INTEGER, "people": {"type": "integer", "minimum": 1, "maximum": 9}},
        {"shares": "array"},
        (
            "each, odd = divmod(args['cents'], args['people'])\n"
            "return {'shares': [each + 1 if n < odd else each for n in range(args['people'])]}"
        ),
    ),
    "median": (
        {"numbers": NUMBERS},
        {"median": "number"},
        (
            "ordered = sorted(args['numbers'])\nhalf = len(ordered) // 2\nif len(ordered) % 2:\n"
            "    return {'median': ordered[half]}\nreturn {'median': (ordered[half - 1] + ordered[half]) / 2}"
        ),
    ),
    "running-total": (
        {"numbers": NUMBERS},
        {"totals": "array"},
        (
            "total, totals = 0, []\nfor number in args['numbers']:\n    total += number\n    totals.append(total)\n"
            "return {'totals': totals}"
        ),
    ),
    "leap-year": (
        {"year": INTEGER},
        {"leap": "boolean"},
        "year = args['year']\nreturn {'leap': year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)}",
    ),
    "word-lengths": (
        {"text": WORDS},
        {"lengths": "array"},
        "return {'lengths': [len(word) for word in args['text'].split() if word.isalpha()]}",
    ),
    "clamp": (
        {"value": INTEGER, "low": INTEGER, "high": INTEGER},
        {"value": "integer"},
        (
            "if args['low'] > args['high']:\n    raise ValueError('low is above high')\n"
            "return {'value': max(args['low'], min(args['high'], args['value']))}"
        ),
    ),
    "price-with-tax": (
        {"cents": INTEGER, "percent": {"type": "integer", "minimum": 0, "maximum": 100}},
        {"cents": "integer"},
        "return {'cents': args['cents'] + (args['cents'] * args['percent'] + 50) // 100}",
    ),
    "digits": (
        {"number": INTEGER},
        {"digits": "array"},
        (
            "number, digits = args['number'], []\nwhile number >= 10:\n    digits.insert(0, number % 10)\n    number //= 10\n"
            "digits.insert(0, number)\nreturn {'digits': digits}"
        ),
    ),
}


class Trial(NamedTuple):
    """A tool, and what is known of it."""

    item: MemoryItem
    contracts: list[Contract]
    """With ever more declared examples."""
    wrong: bool


def right_tool(name: str) -> MemoryItem:
    """Return a tool that does what it should."""
    properties, output, body = TOOLS[name]
    code = "def run(args):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    schema = {"type": "object", "properties": properties, "required": sorted(properties)}
    results = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in output.items()},
        "required": [*output],
    }
    return tool_item(ToolSpec(name, name, schema), code, output_schema=results)


async def trials(most: int) -> list[Trial]:
    """Return the right tools, and the wrong ones with tests of what they do."""
    found: list[Trial] = []
    for name in TOOLS:
        right = right_tool(name)
        contract = contract_of(right)
        calls = drawn_calls(contract.spec.input_schema, seed=len(name))
        told = await answers(right, calls)
        examples = [
            Example(call, answer) for call, answer in zip(calls, told, strict=True) if answer is not None
        ]
        contracts = [replace(contract, examples=tuple(examples[:count])) for count in EXAMPLES]
        found.append(Trial(with_tests(right, calls, told), contracts, wrong=False))
        for mutant in spread(mutants(right.files[CODE_FILE].decode()), most):
            changed = replace(right, files={**right.files, CODE_FILE: mutant.code.encode()})
            theirs = await answers(changed, calls)
            if theirs != told:
                found.append(Trial(with_tests(changed, calls, theirs), contracts, wrong=True))
    return found


def drawn_calls(schema: Mapping[str, Any], seed: int) -> list[dict[str, Any]]:
    """Return calls with arguments from inside the schema, as who describes a tool would choose them."""
    rng = random.Random(seed)
    return [dict(draw(schema["properties"], rng)) for _ in range(12)]


def draw(properties: Mapping[str, Mapping[str, Any]], rng: random.Random) -> Iterator[tuple[str, Any]]:
    """Yield an argument for each property."""
    for name, schema in properties.items():
        match schema["type"]:
            case "integer":
                yield name, rng.randint(schema["minimum"], min(schema["maximum"], 2500))
            case "array":
                yield name, [rng.randint(-20, 20) for _ in range(rng.randint(3, 6))]
            case _:
                yield (
                    name,
                    " ".join(
                        rng.choices(["red", "cup", "7", "apples", "of", "tin-foil"], k=rng.randint(2, 4))
                    ),
                )


MANY = """from original import run as one

def run(args):
    told = []
    for call in args["calls"]:
        try:
            told.append(one(call))
        except Exception:
            told.append(None)
    return {"told": told}
"""


async def answers(item: MemoryItem, calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | None]:
    """Return what a tool answers to each call; None where it fails."""
    spec = ToolSpec("many", "Many calls.", {"type": "object", "properties": {"calls": {"type": "array"}}})
    many = tool_item(spec, MANY, files={"scripts/original.py": item.files[CODE_FILE].decode()})
    answer = await RUNNER.call(many, {"calls": list(calls)})
    return answer.value["told"] if answer.ok else [None] * len(calls)


def with_tests(item: MemoryItem, calls: Sequence[Any], told: Sequence[Any]) -> MemoryItem:
    """Return a tool with tests that hold it to what it does."""
    lines = [
        f"assert run({call!r}) == {answer!r}"
        for call, answer in zip(calls, told, strict=True)
        if answer is not None
    ]
    text = "\n".join(["from tool import run", *lines]).encode()
    return replace(item, files={**item.files, "tests/test_it.py": text})


async def turned_away(trial: Trial) -> list[bool]:
    """Return whether the tool fails its own tests, and the blind ones by number of examples."""
    tests = {path: data for path, data in trial.item.files.items() if path.startswith("tests/")}
    found = [bool(await RUNNER.test_together(trial.item, tests))]
    for contract in trial.contracts:
        programs = {f"tests/{name}": text for name, text in (await SchemaTester().write(contract)).items()}
        found.append(bool(await RUNNER.test_together(trial.item, programs)))
    return found


def played(lift: float, tasks: int, rng: np.random.Generator) -> Comparison:
    """Return a comparison of one episode of each task without an item and one with it."""
    chance = rng.uniform(0.2, 0.8, tasks)
    before, after = rng.random(tasks) < chance, rng.random(tasks) < np.clip(chance + lift, 0, 1)
    changes = after.astype(np.float64) - before
    found = mean_interval(changes, Interval(-1.0, 1.0))
    difference = Difference(
        estimate=float(changes.mean()),
        low=found.low,
        high=found.high,
        standard_error=standard_error(changes),
        bootstrap=found,
        p_value=sign_flip_p_value(changes),
        tasks=tasks,
        pairs=tasks,
    )
    return Comparison.model_construct(difference=difference)


def replays(worlds: int) -> None:
    """Print how often items of each lift are let in."""
    rng = np.random.default_rng(0)
    for tasks in TASKS:
        for lift in LIFTS:
            found = [played(lift, tasks, rng) for _ in range(worlds)]
            verdicts = Counter(judged(each, tasks, MARGIN) for each in found)
            by_mean = sum(each.difference.estimate > 0 for each in found) / worlds
            told = ", ".join(f"{verdict.value} {verdicts[verdict] / worlds:.3f}" for verdict in Verdict)
            print(f"{tasks} tasks, lift {lift:+.2f}: mean above 0 {by_mean:.3f}; {told}")


async def testing(most: int) -> None:
    """Print the tests' table."""
    door = asyncio.Semaphore(AT_ONCE)

    async def one(trial: Trial) -> list[bool]:
        async with door:
            return await turned_away(trial)

    every = await trials(most)
    found = await asyncio.gather(*map(one, every))
    headings = ["own tests", *(f"blind, {count} example{'s' * (count != 1)}" for count in EXAMPLES)]
    calls = sum(
        len(sample_arguments(trial.contracts[0].spec.input_schema)) for trial in every if not trial.wrong
    )
    print(f"{calls} calls made up for {len(TOOLS)} tools")
    for wrong, name in ((True, "wrong tools turned away"), (False, "right tools turned away")):
        rows = [row for trial, row in zip(every, found, strict=True) if trial.wrong is wrong]
        shares = [sum(column) for column in zip(*rows, strict=True)]
        told = ", ".join(
            f"{heading} {share}/{len(rows)}" for heading, share in zip(headings, shares, strict=True)
        )
        print(f"{name}: {told}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutants", type=int, default=10)
    parser.add_argument("--worlds", type=int, default=400)
    arguments = parser.parse_args()
    replays(arguments.worlds)
    asyncio.run(testing(arguments.mutants))
