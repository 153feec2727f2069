"""Modules of Yunjue's form are read without being run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import agentgym
from agentgym.core.errors import UsageError
from agentgym.memory.tools.document import CODE_FILE, spec_of
from agentgym.memory.tools.importing import ORIGINAL_FILE, imported_tool
from agentgym.memory.tools.runner import Answer, ToolRunner

MODULE = """
from typing import Optional
__TOOL_META__ = {"name": "add_numbers", "description": "Adds.", "dependencies": ["pydantic>=2"]}
def Field(default=None, description=""): return default
class InputModel:
    a: int = Field(..., description="The first.")
    b: float
    unit: Optional[str] = None
    size: int | None = None
    tags: list[str] = Field(default=None)
    def __init__(self, **fields): self.fields = fields
class OutputModel:
    def __init__(self, total): self.total = total
    def model_dump(self, mode): return {"total": self.total}
def run(input):
    return OutputModel(input.fields["a"] + input.fields["b"])
"""


def test_the_schema_is_read_from_the_text() -> None:
    spec = spec_of(imported_tool(MODULE))
    assert (spec.name, spec.description) == ("add-numbers", "Adds.")
    assert spec.input_schema == {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "description": "The first."},
            "b": {"type": "number"},
            "unit": {"type": ["string", "null"]},
            "size": {"type": ["integer", "null"]},
            "tags": {"type": "array"},
        },
        "required": ["a", "b"],
    }


def test_it_runs_in_the_box() -> None:
    item = imported_tool(MODULE)
    assert item.files[ORIGINAL_FILE].decode() == MODULE
    assert b'# dependencies = ["pydantic>=2"]' in item.files[CODE_FILE]
    answer = asyncio.run(ToolRunner(agentgym.sandbox).call(item, {"a": 1, "b": 2.5}))
    assert answer == Answer({"total": 3.5})


def test_nothing_is_run_here(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    imported_tool(f"open({str(mark)!r}, 'w')\n{MODULE}")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("def run(input)", "def run(input", "is no Python"),
        ("__TOOL_META__ =", "meta =", "has no __TOOL_META__"),
        ('"add_numbers"', "str(1)", "is written out"),
        ('["pydantic>=2"]', '["a\\n# b"]', "a list of texts"),
        ("class InputModel", "class Input", "needs a class InputModel"),
        ("def run(", "def walk(", "a function run"),
        ("b: float", "b: Literal['x']", "type of b in InputModel cannot be told"),
        ("b: float", "b: int | str", "type of b in InputModel cannot be told"),
        ('"add_numbers"', '"../escape"', "Not the name of a skill"),
    ],
)
def test_what_cannot_be_read_is_told(old: str, new: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        imported_tool(MODULE.replace(old, new))
