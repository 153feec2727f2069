from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from agentgym.core.errors import LeakError, StoreFault, UsageError
from agentgym.core.memory import (
    ItemKind,
    ItemOrigin,
    ItemStatus,
    Link,
    MemoryItem,
    Provenance,
    Relation,
    Stance,
)
from agentgym.core.task import Split
from agentgym.memory.store.entries import current
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.rows import insert_new
from agentgym.memory.store.store import MemoryStore, status_row
from agentgym.memory.store.tables import CheckRow, ExposureRow, OutcomeRow, StatusRow
from tests.memory.making import principle, source


def test_an_item_comes_back_as_it_was_written(store: MemoryStore) -> None:
    item = MemoryItem(
        ItemKind.SKILL,
        "heat-food",
        "Heat food: 'äöü' \U0001f35e",
        "1. Open the microwave.\n2. …",
        space="team/alice",
        env_id="agentgym/Household-v0",
        files={"scripts/heat.py": b"\x00\xff", "notes.md": b"hot"},
        meta={"steps": 2, "nested": {"a": [1.5, None, True]}},
    )
    provenance = Provenance(ItemOrigin.EVOLVED, "model-x", (source(1), source(2)))
    version = store.put(item, provenance)
    assert version == item.version
    assert store.get(version) == item
    assert store.provenance(version) == provenance


def test_every_part_of_the_content_is_in_the_hash() -> None:
    plain: dict[str, Any] = {"kind": ItemKind.SKILL, "name": "a", "key_text": "b", "body": "c"}
    changes: list[dict[str, Any]] = [
        {"kind": ItemKind.TOOL},
        {"name": "x"},
        {"key_text": "x"},
        {"body": "x"},
        {"space": "x"},
        {"env_id": "x"},
        {"files": {"x": b""}},
        {"files": {"x": b"y"}},
        {"meta": {"x": 1}},
        {"meta": {"x": "1"}},
    ]
    versions = [MemoryItem(**plain | change).version for change in [{}, *changes]]
    assert len(set(versions)) == len(versions)
    assert MemoryItem(**plain).version == MemoryItem(**plain).version


def test_a_version_is_written_once_and_gains_evidence(store: MemoryStore) -> None:
    version = store.put(principle(), Provenance(sources=(source(1),)))
    store.set_status(version, ItemStatus.ACTIVE, reason="it helps")
    assert store.put(principle(), Provenance(sources=(source(1), source(2)))) == version
    store.add_evidence(version, source(3), *[source(1)] * 2)
    assert [each.task_key for each in store.provenance(version).sources] == ["task-1", "task-2", "task-3"]
    assert len(store.entries()) == 1
    assert [change.status for change in store.status_log(version)] == [
        ItemStatus.CANDIDATE,
        ItemStatus.ACTIVE,
    ]


def test_the_log_of_statuses_keeps_every_change(store: MemoryStore) -> None:
    version = store.put(principle())
    for status in (ItemStatus.ACTIVE, ItemStatus.RETIRED, ItemStatus.ACTIVE):
        store.set_status(version, status, reason=f"to {status}", author="gate")
    log = store.status_log(version)
    assert [change.reason for change in log] == ["written", "to active", "to retired", "to active"]
    assert [change.at for change in log] == sorted(change.at for change in log)
    assert store.entries()[0].status is ItemStatus.ACTIVE


def test_no_change_of_status_is_lost_to_a_clock_that_was_ahead(store: MemoryStore) -> None:
    version = store.put(principle())
    ahead = status_row(version, ItemStatus.CANDIDATE, "written", at="2999-12-31T23:59:59.999999+00:00")
    with store.database.writing() as connection:
        insert_new(connection, StatusRow, [ahead])
    for status in (ItemStatus.ACTIVE, ItemStatus.RETIRED, ItemStatus.ACTIVE):
        store.set_status(version, status, reason="")
    assert len(store.status_log(version)) == 5
    assert store.entries()[0].status is ItemStatus.ACTIVE


def test_the_latest_version_of_a_status_is_the_current_one(store: MemoryStore) -> None:
    first, second = (store.put(principle(body=body)) for body in ("one", "two"))
    store.set_status(first, ItemStatus.ACTIVE, reason="")
    wanted = {ItemStatus.ACTIVE: [first], ItemStatus.CANDIDATE: [second], ItemStatus.RETIRED: []}
    for status, versions in wanted.items():
        assert [entry.version for entry in current(store.entries(), [status])] == versions
    store.set_status(second, ItemStatus.ACTIVE, reason="")
    assert [entry.version for entry in current(store.entries(), [ItemStatus.ACTIVE])] == [second]
    assert store.get(first).body == "one"


@pytest.mark.parametrize("split", [Split.SELECT, Split.HELDOUT])
def test_nothing_derives_from_tasks_that_agents_are_evaluated_on(store: MemoryStore, split: Split) -> None:
    with pytest.raises(LeakError, match=f"split '{split.value}'"):
        store.put_all(
            [(principle("clean"), Provenance()), (principle(), Provenance(sources=(source(1, split),)))]
        )
    assert store.entries() == []
    version = store.put(principle())
    with pytest.raises(LeakError):
        store.add_evidence(version, source(1, split))
    # Nor can any other program write such a row.
    row = {"sha": version, "episode_id": "e", "task_key": "t", "split": split.value, "stance": "source"}
    names = ", ".join(row)
    statement = text(f"INSERT INTO memory_sources ({names}) VALUES ({', '.join(f':{name}' for name in row)})")
    with pytest.raises(StoreFault, match="split 'train' only"), store.database.writing() as connection:
        connection.execute(statement, row)


def test_lineage_reaches_over_all_that_passes_harm_on(store: MemoryStore) -> None:
    def put(name: str, *links: Link) -> str:
        return store.put(principle(name), Provenance(links=links))

    root = put("root")
    child = put("child", Link(Relation.CONTEXT, root))
    other = put("other")
    grandchild = put("grandchild", Link(Relation.MERGED, child), Link(Relation.MERGED, other))
    beside = put("beside", Link(Relation.CONFLICTS, root))
    assert store.descendants(root) == {child, grandchild}
    assert store.ancestors(grandchild) == {root, child, other}
    assert store.descendants(beside) == store.ancestors(beside) == set()
    store.link(root, Link(Relation.REQUIRES, grandchild))  # a cycle ends all the same
    assert store.descendants(root) == {child, grandchild}


def test_links_lead_to_versions_that_are_there(store: MemoryStore) -> None:
    with pytest.raises(UsageError, match="no version 'nowhere'"):
        store.put(principle(), Provenance(links=(Link(Relation.CONTEXT, "nowhere"),)))
    assert store.entries() == []
    for ask in (store.get, store.provenance, store.status_log, store.descendants):
        with pytest.raises(UsageError, match="no version 'nowhere'"):
            ask("nowhere")
    with pytest.raises(UsageError, match="no version 'nowhere'"):
        store.set_status("nowhere", ItemStatus.ACTIVE, reason="")


def test_a_snapshot_is_named_by_its_members(store: MemoryStore) -> None:
    versions = [store.put(principle(name)) for name in "abc"]
    assert store.take_snapshot() == ""
    assert store.snapshot("") == []
    for version in versions[:2]:
        store.set_status(version, ItemStatus.ACTIVE, reason="")
    taken = store.take_snapshot()
    assert taken == store.take_snapshot(reversed(versions[:2]), parent=taken) != store.take_snapshot(versions)
    assert store.snapshot(taken) == sorted(versions[:2])
    store.set_status(versions[0], ItemStatus.RETIRED, reason="")
    assert store.snapshot(taken) == sorted(versions[:2])
    with pytest.raises(UsageError, match="no snapshot 'nowhere'"):
        store.snapshot("nowhere")
    with pytest.raises(UsageError, match="no version"):
        store.take_snapshot(["nowhere"])


def test_evidence_is_added_once_and_found_by_its_columns(store: MemoryStore) -> None:
    log, version = EvidenceLog(store), store.put(principle())
    shown = ExposureRow(
        episode_id="run/1", sha=version, group_id="g", snapshot="s", rank=0, similarity=0.5, probability=0.5,
        shown=True, used=None,
    )  # fmt: skip
    outcome = OutcomeRow(
        episode_id="run/1", group_id="g", task_family="place", policy="p", reward=1.0, verifier="env",
        verified=True, tokens=9, steps=3, at="2026-01-01",
    )  # fmt: skip
    check = CheckRow(
        sha=version, check="scan", passed=True, score=None, n=1, report_json="{}", at="2026-01-01"
    )
    for _ in range(2):
        log.add([shown, outcome, check])
    assert [row.model_dump() for row in log.rows(ExposureRow, group_id="g")] == [shown.model_dump()]
    assert [row.model_dump() for row in log.rows(OutcomeRow)] == [outcome.model_dump()]
    assert [row.check for row in log.rows(CheckRow, sha=version, passed=True)] == ["scan"]
    assert log.rows(CheckRow, passed=False) == []
    with pytest.raises(UsageError, match="Did you mean 'group_id'"):
        log.rows(ExposureRow, group="g")
    with pytest.raises(UsageError, match="no version"):
        log.add([CheckRow(sha="nowhere", check="scan", passed=True, score=None, n=1, report_json="", at="")])


def test_a_memory_is_still_there_when_opened_again(location: str) -> None:
    with MemoryStore(location) as store:
        version = store.put(principle(), Provenance(sources=(source(stance),) if (stance := 0) else ()))
    with MemoryStore(location, create=False) as store, MemoryStore(location) as beside:
        assert store.get(version) == beside.get(version) == principle()


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("name", " ", "has a name"),
        ("body", "a\0b", "no database keeps"),
        ("key_text", "\ud800", "no database keeps"),
        ("space", "team/../other", "A space is a path"),
        ("space", "/team", "A space is a path"),
        ("files", {"../evil": b""}, "relative paths"),
        ("files", {"/etc/passwd": b""}, "relative paths"),
        ("files", {"a/../../b": b""}, "relative paths"),
        ("files", {"C:\\evil": b""}, "relative paths"),
        ("files", {"": b""}, "relative paths"),
        ("files", {"a\nb": b""}, "relative paths"),
    ],
)
def test_what_cannot_be_kept_is_refused_at_once(field: str, value: Any, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        principle(**{field: value})


def test_meta_is_json() -> None:
    with pytest.raises(UsageError, match="no JSON data"):
        _ = principle(meta={"path": Path()}).version


def test_stances_of_one_episode_are_kept_apart(store: MemoryStore) -> None:
    version = store.put(principle(), Provenance(sources=(source(1),)))
    against = source(1).__class__("run/train-1", "task-1", Split.TRAIN, Stance.CONTRADICTS)
    store.add_evidence(version, against)
    assert [each.stance for each in store.provenance(version).sources] == [Stance.SOURCE, Stance.CONTRADICTS]
