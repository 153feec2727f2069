"""Tools that are written in batches, admitted, and merged, with a real sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from agentgym.core.errors import InferenceFault, LeakError
from agentgym.core.memory import ItemOrigin, ItemStatus, Link, MemoryItem, Provenance, Relation
from agentgym.core.task import Split
from agentgym.core.tool import ToolSpec
from agentgym.evolution.gate.batches import write_tools
from agentgym.evolution.gate.gate import Gate
from agentgym.evolution.gate.merging import KeepBest, PolicyMerger, merge_tools
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.tools.document import Example, contract_of
from agentgym.memory.tools.writing import PolicyToolWriter, ToolRequest, read_tool
from tests.agents.playing import Parrot
from tests.evolution.gate.tools import CODE, EXAMPLES, PATIENT, SPEC, TESTS, bill_splitter
from tests.evolution.gate.worlds import HELPS, IDLE, advice, replay
from tests.memory.episodes import episode
from tests.memory.tools.test_writing import ANSWER

OTHER = ToolSpec(
    "divide-bill", "Splits an amount of cents evenly among people, to the whole cent.", SPEC.input_schema
)
WORDY = """def run(args):
    total, people = args["cents"], args["people"]
    shares = [total // people for _ in range(people)]
    for place in range(total - sum(shares)):
        shares[place] += 1
    return {"shares": shares}
"""
WRONG = WORDY.replace("total - sum(shares)", "0")
ODD = {"test_odd.py": "from tool import run\nassert sum(run({'cents': 7, 'people': 4})['shares']) == 7\n"}
EVEN = {
    "test_even.py": "from tool import run\nassert run({'cents': 8, 'people': 4}) == {'shares': [2] * 4}\n"
}


class Canned:
    """Gives its answers in turn; remembers what it was told."""

    name = "canned"

    def __init__(self, *answers: MemoryItem | Exception | None) -> None:
        self.answers = list(answers)
        self.complaints: list[str] = []
        self.known: list[list[str]] = []

    async def write(
        self, request: ToolRequest, known: Sequence[MemoryItem], complaint: str = ""
    ) -> MemoryItem | None:
        self.complaints.append(complaint)
        self.known.append([tool.name for tool in known])
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def status(store: MemoryStore, item: MemoryItem) -> ItemStatus:
    return store.status_log(item.version)[-1].status


def test_a_writer_is_told_why_and_tries_again(store: MemoryStore) -> None:
    untested, right = bill_splitter(tests={}), bill_splitter()
    writer = Canned(untested, right)
    batch = asyncio.run(write_tools(store, Gate(store, PATIENT), writer, [ToolRequest("Split a bill.")]))
    (written,) = batch.written
    assert written.admitted
    assert written.complaints == ("tests: it has no test; write programs in tests/",)
    assert writer.complaints == ["", *written.complaints]
    assert (status(store, untested), status(store, right)) == (ItemStatus.RETIRED, ItemStatus.SHADOW)
    assert store.provenance(right.version).author == "canned"
    assert store.provenance(right.version).origin is ItemOrigin.EVOLVED


def test_all_of_a_batch_are_asked_before_any_is_admitted(store: MemoryStore) -> None:
    parrot = Parrot("No blocks.", "```json\n[]\n```", ANSWER, ANSWER.replace("2 * args", "3 * args"), ANSWER)
    requests = [ToolRequest(f"Need {number}.", space="team") for number in range(3)]
    batch = asyncio.run(
        write_tools(store, Gate(store, PATIENT), PolicyToolWriter(parrot), requests, attempts=2)
    )
    declined, misread, made = batch.written
    assert (declined.admission, declined.complaints) == (None, ())
    assert made.admitted
    assert 'The ```json block needs "name"' in misread.complaints[0]
    assert misread.complaints[1].startswith("tests: tests/test_2.py failed: AssertionError")
    needs = [request.messages[0].content.partition("Need ")[2][0] for request in parrot.requests]
    assert needs == ["0", "1", "2", "1"]
    (tool,) = store.entries()[:1]
    assert (tool.name, tool.space) == ("twice", "team")


def test_what_is_written_again_is_not_admitted_again(store: MemoryStore) -> None:
    tool, bad = bill_splitter(), bill_splitter(tests={})
    gate = Gate(store, PATIENT)
    asyncio.run(write_tools(store, gate, Canned(tool, bad, None), [ToolRequest("a"), ToolRequest("b")]))
    before = store.status_log(tool.version)
    writer = Canned(tool, bad, bad, bad)
    batch = asyncio.run(write_tools(store, gate, writer, [ToolRequest("a"), ToolRequest("b")]))
    assert store.status_log(tool.version) == before
    assert [written.admission for written in batch.written] == [None, None]
    assert len(batch.written[1].complaints) == 3
    assert writer.known[0] == ["split-bill"]


def test_nothing_is_asked_for_a_task_that_agents_are_evaluated_on(store: MemoryStore) -> None:
    writer = Canned()
    request = ToolRequest("x", episodes=(episode(split=Split.HELDOUT),))
    with pytest.raises(LeakError):
        asyncio.run(write_tools(store, Gate(store, PATIENT), writer, [request]))
    assert writer.complaints == []
    assert store.entries() == []


def test_a_writer_that_fails_leaves_nothing_behind(store: MemoryStore) -> None:
    writer = Canned(bill_splitter(), InferenceFault("gone"))
    with pytest.raises(InferenceFault):
        asyncio.run(write_tools(store, Gate(store, PATIENT), writer, [ToolRequest("a"), ToolRequest("b")]))
    assert store.entries() == []


def put(store: MemoryStore, item: MemoryItem, status: ItemStatus = ItemStatus.SHADOW) -> str:
    played = episode()
    version = store.put(item, Provenance.of(played, run=item.name))
    store.set_status(version, status, reason="admitted before", author="gate")
    return version


def test_tools_that_do_the_same_become_one_with_the_tests_of_both(store: MemoryStore) -> None:
    parents = {put(store, bill_splitter(tests=ODD)), put(store, bill_splitter(WRONG, EVEN, (), OTHER))}
    (merge,) = asyncio.run(merge_tools(store, Gate(store, PATIENT), KeepBest(PATIENT)))
    assert merge.admission is not None
    assert (merge.retired, set(merge.parents)) == (True, parents)
    merged = store.get(merge.admission.report.version)
    assert merged.files["scripts/tool.py"].decode() == CODE
    assert len([path for path in merged.files if path.startswith("tests/")]) == 2
    assert contract_of(merged).examples == EXAMPLES
    provenance = store.provenance(merged.version)
    assert {(link.relation, link.version) for link in provenance.links} == {
        (Relation.MERGED, p) for p in parents
    }
    assert {source.episode.partition("/")[0] for source in provenance.sources} == {
        "split-bill",
        "divide-bill",
    }
    for parent in parents:
        last = store.status_log(parent)[-1]
        assert (last.status, last.reason) == (ItemStatus.RETIRED, f"merged into {merged.version}")
    assert asyncio.run(merge_tools(store, Gate(store, PATIENT), KeepBest(PATIENT))) == []


def test_tools_that_do_not_the_same_after_all_stay(store: MemoryStore) -> None:
    """Words are alike, but not what they do: the tests of both together let none through."""
    tests = {
        "test_rest.py": "from tool import run\nassert run({'cents': 7, 'people': 4}) == {'shares': [1] * 4}\n"
    }
    first, second = (
        bill_splitter(tests=ODD),
        bill_splitter(WRONG, tests, (Example({"cents": 3, "people": 2}, {"shares": [1, 1]}),), OTHER),
    )
    for item in (first, second):
        put(store, item)
    (merge,) = asyncio.run(merge_tools(store, Gate(store, PATIENT), KeepBest(PATIENT)))
    assert not merge.retired
    assert merge.reason.startswith("the others stay: tests: tests/")
    assert (status(store, first), status(store, second)) == (ItemStatus.SHADOW, ItemStatus.SHADOW)
    (again,) = asyncio.run(merge_tools(store, Gate(store, PATIENT), KeepBest(PATIENT)))
    assert again.admission is None
    assert again.reason.startswith("merged before: ")


def test_one_tool_does_not_take_the_place_of_others_that_stand_higher(store: MemoryStore) -> None:
    put(store, bill_splitter(tests=TESTS), ItemStatus.ACTIVE)
    put(store, bill_splitter(WORDY, EVEN, (), OTHER))
    (merge,) = asyncio.run(merge_tools(store, Gate(store, PATIENT), KeepBest(PATIENT)))
    assert merge.admission is not None
    assert (merge.admission.after, merge.retired) == (ItemStatus.SHADOW, False)


def test_a_policy_merges_tools_of_different_arguments(store: MemoryStore) -> None:
    other = replace(OTHER, input_schema={"type": "object", "properties": {"amount": {"type": "integer"}}})
    put(store, bill_splitter())
    put(store, bill_splitter("def run(args): return {'shares': []}", {}, (), other))
    assert asyncio.run(merge_tools(store, Gate(store, PATIENT), KeepBest(PATIENT))) == []
    parrot = Parrot("I cannot.", ANSWER)
    merger = PolicyMerger(PolicyToolWriter(parrot, name="gpt"))
    (merge,) = asyncio.run(merge_tools(store, Gate(store, PATIENT), merger))
    assert "no ```json block" in merge.reason
    (merge,) = asyncio.run(merge_tools(store, Gate(store, PATIENT), merger))
    assert merge.retired
    assert merge.admission is not None
    assert merge.admission.report.name == read_tool(ANSWER).name
    assert store.provenance(merge.admission.report.version).author == "gpt"


def test_what_was_merged_is_replayed_in_the_place_of_its_parents(store: MemoryStore) -> None:
    """Its parents are shown where it is withheld, and withheld where it is shown."""
    parent = store.put(advice(HELPS, "parent"))
    store.set_status(parent, ItemStatus.ACTIVE, reason="helps")
    links = (Link(Relation.MERGED, parent),)
    merged = store.put(advice(IDLE, "merged"), Provenance(ItemOrigin.EVOLVED, links=links))
    admission = asyncio.run(Gate(store, PATIENT, replay=replay(store)).admit(merged))
    assert admission.report.summary.startswith("replay: worse: -65.0 points")
