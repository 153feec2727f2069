"""Promotion and retirement: on bounds, not before there is evidence, and never for good."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agentgym.core.errors import ConfigError
from agentgym.core.memory import ItemStatus
from agentgym.memory.credit.evidence import Rollout
from agentgym.memory.credit.lift import Lift, lifts
from agentgym.memory.credit.review import ReviewRules, review
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import ExposureRow, OutcomeRow
from tests.memory.credit.worlds import play
from tests.memory.making import principle

RULES = ReviewRules()
LIFTS = {"good": 0.3, "bad": -0.3, "idle": 0.0}


@pytest.fixture
def versions(store: MemoryStore) -> dict[str, str]:
    return {name: store.put(principle(name, f"Do what is {name}.")) for name in LIFTS}


def record(store: MemoryStore, rollouts: list[Rollout], versions: Mapping[str, str], run: str = "") -> None:
    rows: list[ExposureRow | OutcomeRow] = []
    for number, rollout in enumerate(rollouts):
        name, group = f"{run}e{number:05d}", f"{run}{rollout.group}"
        rows.append(
            OutcomeRow(
                episode_id=name, group_id=group, task_family="", policy="0", reward=rollout.reward,
                verifier="w", verified=True, tokens=0, steps=1, at=name,
            )
        )  # fmt: skip
        rows += [
            ExposureRow(
                episode_id=name, sha=versions[each.version], group_id=group, snapshot="", rank=rank,
                similarity=1.0, probability=each.probability, shown=each.shown, used=None,
            )
            for rank, each in enumerate(rollout.exposures)
        ]  # fmt: skip
    EvidenceLog(store).add(rows)


def statuses(store: MemoryStore, versions: Mapping[str, str]) -> dict[str, ItemStatus]:
    return {name: store.status_log(version)[-1].status for name, version in versions.items()}


def into_shadow(store: MemoryStore, versions: Mapping[str, str]) -> None:
    for version in versions.values():
        store.set_status(version, ItemStatus.SHADOW, reason="admitted", author="gate")


def test_helpful_items_are_promoted_and_harmful_ones_retired(
    store: MemoryStore, versions: dict[str, str]
) -> None:
    into_shadow(store, versions)
    record(store, play(LIFTS, groups=40, base=(0.4, 0.6)), versions)
    changes = {change.version: change.after for change in review(store)}
    assert changes == {versions["good"]: ItemStatus.ACTIVE, versions["bad"]: ItemStatus.RETIRED}
    last = store.status_log(versions["bad"])[-1]
    assert last.author == "credit"
    assert "over 320 exposures in 40 groups" in last.reason
    assert review(store) == []


def test_retirement_is_taken_back_when_the_evidence_changes(
    store: MemoryStore, versions: dict[str, str]
) -> None:
    into_shadow(store, versions)
    record(store, play(LIFTS, groups=40, base=(0.4, 0.6)), versions)
    review(store)
    record(store, play({**LIFTS, "bad": 0.3}, groups=80, seed=1, base=(0.4, 0.6)), versions, run="later-")
    assert {change.after for change in review(store) if change.version == versions["bad"]} == {
        ItemStatus.SHADOW
    }


def test_what_somebody_else_decided_is_left_alone(store: MemoryStore, versions: dict[str, str]) -> None:
    record(store, play({"good": 0.3, "bad": 0.3, "idle": 0.3}, groups=60, base=(0.1, 0.1)), versions)
    store.set_status(versions["bad"], ItemStatus.QUARANTINED, reason="poison")
    store.set_status(versions["idle"], ItemStatus.RETIRED, reason="no longer wanted", author="alice")
    assert review(store) == []
    assert statuses(store, versions) == {
        "good": ItemStatus.CANDIDATE,
        "bad": ItemStatus.QUARANTINED,
        "idle": ItemStatus.RETIRED,
    }


@pytest.mark.parametrize("n", [1, 50, 99])
def test_nothing_is_decided_on_little_evidence(n: int) -> None:
    for status in ItemStatus:
        assert RULES.verdict(status, Lift(0.9, 0.001, n, 30)) is status
        assert RULES.verdict(status, Lift(-0.9, 0.001, n, 30)) is status


@pytest.mark.parametrize(
    ("status", "mean", "expected"),
    [
        (ItemStatus.SHADOW, 0.5, ItemStatus.ACTIVE),
        (ItemStatus.SHADOW, 0.01, ItemStatus.SHADOW),
        (ItemStatus.SHADOW, -0.5, ItemStatus.RETIRED),
        (ItemStatus.ACTIVE, -0.5, ItemStatus.RETIRED),
        (ItemStatus.ACTIVE, -0.05, ItemStatus.ACTIVE),
        (ItemStatus.RETIRED, -0.5, ItemStatus.RETIRED),
        (ItemStatus.RETIRED, -0.05, ItemStatus.SHADOW),
        (ItemStatus.CANDIDATE, 0.5, ItemStatus.CANDIDATE),
        (ItemStatus.CANDIDATE, -0.5, ItemStatus.CANDIDATE),
        (ItemStatus.QUARANTINED, 0.5, ItemStatus.QUARANTINED),
    ],
)
def test_bounds_decide(status: ItemStatus, mean: float, expected: ItemStatus) -> None:
    assert RULES.verdict(status, Lift(mean, 0.1, 200, 25)) is expected


def test_a_status_does_not_go_to_and_fro() -> None:
    """What is retired at a bound stays so at the same bound."""
    for mean in (number / 1000 for number in range(-600, 600)):
        after = RULES.verdict(ItemStatus.ACTIVE, Lift(mean, 0.1, 200, 25))
        assert RULES.verdict(after, Lift(mean, 0.1, 200, 25)) is after


def test_items_without_effect_are_seldom_moved() -> None:
    moved = [
        RULES.verdict(ItemStatus.SHADOW, lift) is not ItemStatus.SHADOW
        for seed in range(100)
        for lift in lifts(play({"a": 0.0, "b": 0.0}, groups=14, seed=seed)).values()
    ]
    assert sum(moved) / len(moved) < 0.08


def test_rules_that_cannot_work() -> None:
    for wrong in ({"min_exposures": 0}, {"confidence": 1.0}, {"margin": -1.0}, {"prior": -1.0}):
        with pytest.raises(ConfigError):
            ReviewRules(**wrong)  # pyright: ignore[reportArgumentType]
