"""Which tools are taken to do the same."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.memory import MemoryItem
from agentgym.core.tool import ToolSpec
from agentgym.memory.tools.alike import clusters, similarity
from agentgym.memory.tools.document import tool_item

TEXTS = [
    "Splits an amount of cents among people, as evenly as whole cents allow.",
    "Splits cents evenly among people.",
    "Splits an amount of cents evenly among some people.",
    "Sorts a list of people by name.",
    "Sorts people by their name.",
    "Counts the words of a text.",
]


def tool(number: int) -> MemoryItem:
    return tool_item(ToolSpec(f"tool-{number}", TEXTS[number]), "def run(args): return {}")


TOOLS = [tool(number) for number in range(len(TEXTS))]


def names(groups: list[list[MemoryItem]]) -> set[frozenset[str]]:
    return {frozenset(tool.name for tool in group) for group in groups}


def test_what_does_the_same_is_together() -> None:
    expected = {frozenset({"tool-0", "tool-1", "tool-2"}), frozenset({"tool-3", "tool-4"})}
    assert names(clusters(TOOLS)) == expected


@given(st.permutations(TOOLS))
def test_the_order_does_not_matter(tools: list[MemoryItem]) -> None:
    assert clusters(tools) == clusters(TOOLS)


@given(st.floats(0.05, 1), st.lists(st.sampled_from(TOOLS), unique_by=lambda tool: tool.name))
def test_every_two_of_a_group_are_alike(alike: float, tools: list[MemoryItem]) -> None:
    groups = clusters(tools, alike=alike)
    together = [tool.name for group in groups for tool in group]
    assert len(together) == len(set(together))
    for group in groups:
        assert len(group) > 1
        for one in group:
            for other in group:
                told = similarity(f"{one.name} {one.key_text}", f"{other.name} {other.key_text}")
                assert told >= alike - 1e-9


def test_spaces_environments_and_who_merges_keep_tools_apart() -> None:
    one, other = TOOLS[3], TOOLS[4]
    assert len(clusters([one, other])) == 1
    assert clusters([one, replace(other, space="team")]) == []
    assert clusters([one, replace(other, env_id="world")]) == []
    assert clusters([one, other], lambda a, b: False) == []
    assert clusters([one]) == clusters([]) == []


@given(st.text(), st.text())
def test_similarity_is_a_cosine(one: str, other: str) -> None:
    assert 0 <= similarity(one, other) <= 1 + 1e-9
    assert similarity(one, other) == similarity(other, one)
    assert similarity(one, one) in (0.0, 1.0) or abs(similarity(one, one) - 1) < 1e-9
