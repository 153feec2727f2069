from pathlib import Path

import pytest

from agentgym.core.errors import LeakError, UsageError
from agentgym.core.memory import ItemStatus, Relation
from agentgym.core.task import Split
from agentgym.core.trace import Outcome
from agentgym.memory.cases import case_of
from agentgym.memory.rendering import render_block
from agentgym.memory.retrieval.library import Library, Query
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.transcripts import MAX_CHARACTERS, Transcript
from tests.memory.episodes import ANSWER, episode
from tests.memory.making import principle


@pytest.fixture
def location(tmp_path: Path) -> str:
    return str(tmp_path / "memory.db")


def test_good_and_bad_episodes_are_cases(store: MemoryStore) -> None:
    good = case_of(episode())
    bad = case_of(episode("e2", ["open drawer 1"], outcome=Outcome.FAILURE))
    for version in store.put_all([good, bad]):
        store.set_status(version, ItemStatus.ACTIVE, reason="")
    hits = Library(store.entries()).search(Query("You are in a kitchen; find an apple."))
    shown = render_block([store.get(hit.entry.version) for hit in hits], whole_skills=True)
    assert 'outcome="success"' in shown
    assert 'outcome="failure"' in shown
    assert "1. open fridge 1\n2. take apple 1 from fridge 1\nThen: It is over." in shown
    assert "did not solve the task; beware:\n1. open drawer 1" in shown


@pytest.mark.parametrize("outcome", [each for each in Outcome if not each.scored])
def test_a_failed_machine_makes_no_bad_case(outcome: Outcome) -> None:
    with pytest.raises(UsageError, match=f"ended as {outcome.value}"):
        case_of(episode(outcome=outcome))


@pytest.mark.parametrize("split", [Split.SELECT, Split.HELDOUT])
def test_no_case_of_a_task_that_agents_are_evaluated_on(split: Split) -> None:
    with pytest.raises(LeakError):
        case_of(episode(split=split))


def test_the_same_case_twice_is_one_with_two_sources(store: MemoryStore) -> None:
    first, second = store.put_all([case_of(episode("e1")), case_of(episode("e2"))])
    assert first == second
    assert [source.episode for source in store.provenance(first).sources] == ["e1", "e2"]


def test_what_was_shown_is_lineage_and_not_content(store: MemoryStore) -> None:
    """A memory that was recalled does not come back as if it had been learned anew."""
    version = store.put(principle(body="The moon is made of cheese."))
    item, provenance = case_of(episode(shown=(version,)))
    assert [(link.relation, link.version) for link in provenance.links] == [(Relation.CONTEXT, version)]
    assert "cheese" not in item.key_text + item.body


def test_task_parameters_are_not_in_a_case() -> None:
    item, _ = case_of(episode())
    assert ANSWER not in f"{item}"


def test_a_long_transcript_loses_its_middle() -> None:
    text = str(Transcript.of(episode(actions=[f"go to {n}" for n in range(2000)])))
    assert "characters left out" in text
    assert len(text) < MAX_CHARACTERS + 100
    assert text.startswith("You are in a kitchen")
    assert text.endswith("It is over.")
