"""What a library is worth more than before, and what of a library that others use too an evolution has to do with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from agentgym.core.memory import ItemKind, ItemStatus, Link, MemoryItem, Provenance, Relation
from agentgym.evolution.adaptation.run import AdaptSettings
from agentgym.evolution.figures import BatchFigures, figures_of
from agentgym.evolution.settings import Acting, EvolveSettings
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import CheckRow, ExposureRow, OutcomeRow
from tests.evolution.growth import carry_on, new_run


def put(store: MemoryStore, name: str, body: str, *links: Link, space: str = "") -> str:
    item = MemoryItem(ItemKind.SKILL, name, "for tasks", body, space=space)
    return store.put(item, Provenance(links=links))


def replayed(store: MemoryStore, version: str, difference: float) -> None:
    details = {"difference": {"standard_error": 0.05, "tasks": 40}}
    report = json.dumps({"details": details})
    EvidenceLog(store).add(
        [
            CheckRow(
                sha=version, check="replay", passed=True, score=difference, n=40, report_json=report, at="1"
            )
        ]
    )


def helps(store: MemoryStore, before: list[str], after: list[str]) -> float:
    batches: list[BatchFigures] = []
    for members in (before, after):
        sha = store.take_snapshot(members)
        batches.append(figures_of(len(batches) + 1, [], [], (sha, sha, sha), batches, store, store.entries()))
    return batches[-1]["next_helps"]


@pytest.mark.parametrize("name", ["same", "another"])
def test_what_takes_the_place_of_another_is_not_charged_for_it_twice(name: str, tmp_path: Path) -> None:
    """The replay of a new version withholds it where the old one is shown: its figure is what it brings beyond that."""
    with MemoryStore(tmp_path / "memory.db") as store:
        old = put(store, "same", "go")
        new = put(store, name, "go on", *([] if name == "same" else [Link(Relation.MERGED, old)]))
        replayed(store, old, 0.6)
        replayed(store, new, 0.2)
        assert helps(store, [old], [new]) > 0.99
        unrelated = put(store, "unrelated", "stop")
        replayed(store, unrelated, 0.2)
        assert helps(store, [old], [unrelated]) < 0.01, "what nothing takes the place of is missed"


def test_of_a_shared_library_only_what_is_its_own_is_judged_and_only_what_agents_see_is_shown(
    tmp_path: Path,
) -> None:
    shared = str(tmp_path / "shared.db")
    with MemoryStore(shared) as store:
        own, above, foreign = (
            put(store, "rule", "wait", space=space) for space in ("team/us", "team", "others")
        )
        for version in (own, above, foreign):
            store.set_status(version, ItemStatus.ACTIVE, reason="test")
            EvidenceLog(store).add(
                [
                    row
                    for n in range(200)
                    for row in (
                        ExposureRow(
                            episode_id=f"{version[:4]}-{n}",
                            sha=version,
                            group_id=f"{version[:4]}-{n // 4}",
                            snapshot="",
                            rank=0,
                            similarity=1.0,
                            probability=0.5,
                            shown=n % 2 == 0,
                            used=None,
                        ),
                        OutcomeRow(
                            episode_id=f"{version[:4]}-{n}",
                            group_id=f"{version[:4]}-{n // 4}",
                            task_family="",
                            policy="",
                            reward=float(n % 2),
                            verifier="",
                            verified=True,
                            tokens=0,
                            steps=1,
                            at="1",
                        ),
                    )
                ]
            )
    asked = {"batches": 1, "tasks": 2, "rollouts": 2, "max_turns": 3, "library": shared, "space": "team/us"}
    (figures,) = carry_on(new_run(tmp_path, "household", asked))
    with MemoryStore(shared) as store:
        assert {entry.version: entry.status for entry in store.entries()} == {
            own: ItemStatus.RETIRED,
            above: ItemStatus.ACTIVE,
            foreign: ItemStatus.ACTIVE,
        }
        assert set(store.snapshot(figures["played"])) == {own, above}
    assert {each["version"] for each in figures["items"]} >= {own, above}
    assert foreign not in {each["version"] for each in figures["items"]}
    assert figures["sizes"]["skill"]["active"] == 1, "of others' items none is counted"


@pytest.mark.parametrize("settings", [EvolveSettings, AdaptSettings])
@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("library", "postgresql://me:hidden@db.example/memory", "PGPASSWORD"),
        ("space", "team/../others", "A space is a path"),
    ],
)
def test_what_may_not_be_kept_with_a_run_is_refused(
    settings: type[Acting], field: str, value: str, told: str
) -> None:
    with pytest.raises(ValidationError, match=told):
        settings.model_validate({"env_id": "e", field: value})
    settings.model_validate({"env_id": "e", "library": "postgresql://me@db.example/memory", "space": "a/b"})
