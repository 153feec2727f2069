"""Laws of the household world: learned from its episodes, kept in a memory, judged on other tasks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agentgym.core.agent import EpisodeStart
from agentgym.core.errors import EnvironmentFault, LeakError, UsageError
from agentgym.core.memory import ItemKind, MemoryItem, Provenance, Stance
from agentgym.core.task import Split
from agentgym.core.trace import Episode
from agentgym.memory.laws.book import LawBook
from agentgym.memory.laws.items import law_of, learn_laws
from agentgym.memory.laws.judging import distract, gains, prediction, ranking
from agentgym.memory.laws.watching import Change, watch
from agentgym.memory.recall import Recall, RecallSettings
from agentgym.memory.store.store import MemoryStore
from agentgym.registry import make
from tests.memory.laws.conftest import first

Written = list[tuple[MemoryItem, Provenance]]


@pytest.fixture(scope="module")
def learned(episodes: list[Episode]) -> tuple[LawBook, Written]:
    with closing(make("household", difficulty="easy")) as env:
        return learn_laws(episodes, env, run="first")


def test_the_laws_are_those_of_the_game(learned: tuple[LawBook, Written]) -> None:
    said = [item.body for item, _ in learned[1]]
    assert "open X\nNeeds: at X; closed X.\nThen: not closed X; open X." in said
    (take,) = [law for law in said if law.startswith("take X from Y")]
    assert {"X in Y", "empty hand"} <= set(
        take.splitlines()[1].removeprefix("Needs: ").rstrip(".").split("; ")
    )
    assert "Then: holding X; not X in Y; not empty hand." in take
    assert {law.splitlines()[0] for law in said} >= {
        "go to X",
        "move X to Y",
        "open X",
        "take X from Y",
    }


def test_on_other_tasks_they_rank_and_predict_better_than_inertia(
    learned: tuple[LawBook, Written], unseen: Sequence[Change]
) -> None:
    book, _ = learned
    nothing = LawBook((), book.inertia)
    good, bad = ranking(book.log_likelihood, unseen), ranking(nothing.log_likelihood, unseen)
    assert (good.first > 0.95, bad.first < 0.5) == (True, True)
    assert (good.mrr > 0.95, bad.mrr < 0.5) == (True, True)
    true, stay = prediction(book, unseen), prediction(nothing, unseen)
    assert (true.exact > 0.95, stay.exact < 0.5) == (True, True)
    assert (true.distance < 0.1, stay.distance > 1) == (True, True)
    assert true.log_likelihood > stay.log_likelihood + 5
    worth = gains(book, unseen)
    assert all(worth[str(law)] > 0 for law in book.laws if law.action in ("go to ?0", "take ?0 from ?1"))


def test_the_true_state_is_no_distractor_and_a_random_order_ranks_by_chance(unseen: Sequence[Change]) -> None:
    for change in unseen[:50]:
        wrong = distract(change, unseen, 9, random.Random(0))
        assert change.after not in wrong
        assert len(set(wrong)) == len(wrong) == 9
    rng = random.Random(0)
    blind = ranking(lambda _: rng.random(), unseen)
    assert blind.mrr == pytest.approx(blind.chance, abs=0.05)
    assert ranking(lambda _: 0.0, unseen).first == 0.0, "a tie is no first place"


def test_they_are_kept_with_their_episodes_and_shown(
    learned: tuple[LawBook, Written], tmp_path: Path
) -> None:
    _, written = learned
    with MemoryStore(tmp_path / "memory.db") as store:
        versions = store.put_all(written)
        again = [law_of(store.get(version)) for version in versions]
        assert again == [law_of(item) for item, _ in written]
        opened = next(version for version in versions if store.get(version).key_text == "open X")
        sources = store.provenance(opened).sources
        assert sources
        assert {source.split for source in sources} == {Split.TRAIN}
        assert all(source.episode.startswith("first/train-") for source in sources)
        assert any(source.stance is Stance.SOURCE for source in sources)
        snapshot = store.take_snapshot(versions)
        recall = Recall(store, snapshot, RecallSettings(kinds=(ItemKind.LAW,), k=2))
        with closing(make("household", difficulty="easy")) as env:
            start = EpisodeStart("s", env.suite.tasks("train")[0], 0, env)
            shown = asyncio.run(recall.recall(start, "How do I open the fridge 1?"))
        assert "Needs: at X; closed X." in shown.text


def test_nothing_is_learned_from_what_is_evaluated_or_imagined(episodes: list[Episode]) -> None:
    with closing(make("household", split="select", difficulty="easy")) as env, pytest.raises(LeakError):
        learn_laws(first(Split.SELECT, 1), env)
    imagined = replace(episodes[0], task=replace(episodes[0].task, env_id="imagined:agentgym/Household-v0"))
    with closing(make("household", difficulty="easy")) as env:
        with pytest.raises(UsageError, match="played in a model"):
            watch(imagined, env)
        turns = (replace(episodes[0].turns[0], state_key="another"), *episodes[0].turns[1:])
        with pytest.raises(EnvironmentFault, match="another state at turn 0"):
            watch(replace(episodes[0], turns=turns), env)
    with closing(make("bfcl")) as other, pytest.raises(UsageError, match="does not tell its state as facts"):
        watch(episodes[0], other)
