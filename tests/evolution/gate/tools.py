"""A tool that is as it says, and how others differ from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agentgym.core.memory import MemoryItem
from agentgym.core.tool import ToolSpec
from agentgym.memory.tools.document import Example, tool_item
from agentgym.memory.tools.runner import TOOL_BOX, ToolRunner
from agentgym.sandboxes.backends import sandbox

SPEC = ToolSpec(
    "split-bill",
    "Splits an amount of cents among people as evenly as whole cents allow; those first in line pay the odd cents.",
    {
        "type": "object",
        "properties": {
            "cents": {"type": "integer", "minimum": 0},
            "people": {"type": "integer", "minimum": 1, "maximum": 50},
        },
        "required": ["cents", "people"],
    },
)
OUTPUT = {"type": "object", "properties": {"shares": {"type": "array"}}, "required": ["shares"]}
CODE = '''"""Shares of a bill."""


def run(args: dict) -> dict:
    each, odd = divmod(args["cents"], args["people"])
    shares = []
    for place in range(args["people"]):
        shares.append(each + 1 if place < odd else each)
    return {"shares": shares}
'''
TESTS = {
    "test_shares.py": "from tool import run\n"
    "assert run({'cents': 10, 'people': 3}) == {'shares': [4, 3, 3]}\n"
    "assert run({'cents': 0, 'people': 2}) == {'shares': [0, 0]}\n"
}
EXAMPLES = (Example({"cents": 11, "people": 4}, {"shares": [3, 3, 3, 2]}),)


def bill_splitter(
    code: str = CODE,
    tests: Mapping[str, str] = TESTS,
    examples: tuple[Example, ...] = EXAMPLES,
    spec: ToolSpec = SPEC,
    space: str = "",
) -> MemoryItem:
    return tool_item(spec, code, tests, output_schema=OUTPUT, examples=examples, space=space)


PATIENT = ToolRunner(sandbox, replace(TOOL_BOX, wall_s=120))
"""For tools that are to pass, on a machine that does much else."""
