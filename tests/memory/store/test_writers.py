"""Several processes that write to one memory at once: none of it is lost, and none of it is there twice."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext

import pytest

from agentgym.core.memory import ItemKind, ItemStatus, Provenance, Source, Stance
from agentgym.core.task import Split
from agentgym.memory.store.store import MemoryStore
from tests.memory.making import principle

WRITERS, ITEMS = 3, 15


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes of their own, whose server imports once what they all need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["agentgym.memory.store.store", "tests.memory.making"])
    return context


def write(location: str, me: str, items: int, told: Connection) -> None:
    """Write items that every writer has, and versions of one item that all of them change."""
    with MemoryStore(location) as store:
        for n in range(items):
            provenance = Provenance(sources=(Source(f"{me}/{n}", f"task-{n}", Split.TRAIN),))
            shared = store.put(principle(f"shared-{n}"), provenance)
            store.put(principle("contested", f"{me} {n}"), provenance)
            store.set_status(shared, ItemStatus.ACTIVE, reason=me)
            told.send(n)


def test_concurrent_writers_lose_nothing(location: str, processes: ForkServerContext) -> None:
    _, told = processes.Pipe()
    names = [f"writer-{n}" for n in range(WRITERS)]
    writers = [processes.Process(target=write, args=(location, name, ITEMS, told)) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    with MemoryStore(location, create=False) as store:
        entries = store.entries([ItemKind.PRINCIPLE])
        shared = [entry for entry in entries if entry.name.startswith("shared")]
        contested = [entry for entry in entries if entry.name == "contested"]
        assert len(shared) == ITEMS
        assert all(entry.status is ItemStatus.ACTIVE for entry in shared)
        assert len({entry.version for entry in contested}) == len(contested) == WRITERS * ITEMS
        for entry in shared:
            sources = store.provenance(entry.version).sources
            assert sorted(source.episode.partition("/")[0] for source in sources) == names
            assert {source.stance for source in sources} == {Stance.SOURCE}
            assert len(store.status_log(entry.version)) == 1 + WRITERS


def test_a_killed_writer_leaves_whole_transactions(location: str, processes: ForkServerContext) -> None:
    heard, told = processes.Pipe()
    victim = processes.Process(target=write, args=(location, "victim", 10**9, told))
    victim.start()
    while heard.recv() < 3:
        pass
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    victim.join(60)
    with MemoryStore(location, create=False) as store:
        entries = store.entries()
        assert len(entries) >= 6
        assert all(len(store.provenance(entry.version).sources) == 1 for entry in entries)
        store.get_all([entry.version for entry in entries])
