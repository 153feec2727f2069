import pytest

from agentgym.core.memory import ItemKind, ItemStatus, MemoryItem, Provenance
from agentgym.memory.retrieval.library import Hit, Library, Query
from agentgym.memory.store.entries import Entry
from agentgym.memory.store.store import MemoryStore
from benchmarks.retrieval import collections, household, recalls


def entry(version: str, text: str, **fields: object) -> Entry:
    plain = Entry(version, version, ItemKind.PRINCIPLE, "", "item", "", text, ItemStatus.ACTIVE)
    return plain._replace(**fields)


def found(library: Library, text: str, **filters: object) -> list[str]:
    return [hit.entry.version for hit in library.search(Query(text, **filters))]  # pyright: ignore[reportArgumentType]


def test_filters_by_kind_space_status_and_environment() -> None:
    library = Library(
        [
            entry("case", "heat an apple", kind=ItemKind.CASE),
            entry("team", "heat an apple", space="team"),
            entry("alice", "heat an apple", space="team/alice"),
            entry("bob", "heat an apple", space="team/bob"),
            entry("other", "heat an apple", env_id="other"),
            entry("here", "heat an apple", env_id="here"),
            entry("candidate", "heat an apple", status=ItemStatus.CANDIDATE),
            entry("poison", "heat an apple", status=ItemStatus.QUARANTINED),
        ]
    )

    def seen(**filters: object) -> set[str]:
        return set(found(library, "heat", k=99, **filters))

    assert seen() == {"case", "other", "here"}
    assert seen(kinds=(ItemKind.CASE,)) == {"case"}
    assert seen(env_id="here") == {"case", "here"}
    assert seen(space="team/alice") == {"case", "other", "here", "team", "alice"}
    assert seen(space="team") == {"case", "other", "here", "team"}
    assert seen(space="teammate") == {"case", "other", "here"}
    assert seen(statuses=frozenset({ItemStatus.CANDIDATE})) == {"candidate"}


def test_of_an_item_the_latest_version_in_a_wanted_status_is_found() -> None:
    old = entry("zz-old", "heat an apple", identity="item")
    new = entry("aa-new", "heat an apple", identity="item", status=ItemStatus.CANDIDATE)
    library = Library([old, new])
    assert found(library, "heat") == ["zz-old"]
    assert found(library, "heat", statuses=frozenset({ItemStatus.CANDIDATE})) == ["aa-new"]
    assert found(library, "heat", statuses=frozenset(ItemStatus)) == ["aa-new"]


def test_nothing_is_found_where_nothing_fits() -> None:
    library = Library([entry("a", "heat an apple")])
    assert found(library, "zzz") == found(library, "") == found(library, "heat", k=0) == []
    assert found(Library([]), "heat") == []


def test_the_similarity_of_the_same_text_is_one() -> None:
    (hit,) = Library([entry("a", "heat an apple")]).search(Query("item: heat an apple"))
    assert hit.similarity == pytest.approx(1, abs=1e-4)
    assert hit.score == pytest.approx(2 / 61)


def test_results_do_not_depend_on_the_order_of_writing() -> None:
    entries = [entry(f"{n:02d}", f"heat an apple {n % 3}") for n in range(20)]
    forwards, backwards = Library(entries), Library(entries[::-1])
    for text in ("heat", "apple 1", "2"):
        assert forwards.search(Query(text, k=7)) == backwards.search(Query(text, k=7))


@pytest.fixture(scope="module")
def searched() -> dict[str, list[list[Hit]]]:
    """What was found in each database."""
    return {}


def test_results_are_equal_in_both_databases(
    store: MemoryStore, searched: dict[str, list[list[Hit]]]
) -> None:
    cases = household()
    library, queries = cases.library(), cases.queries
    items = [
        MemoryItem(ItemKind.CASE, case.identity, case.key_text, "…", space=["", "team"][n % 2])
        for n, case in enumerate(library.entries[:200])
    ]
    versions = store.put_all([(item, Provenance()) for item in items])
    for version in versions[::2]:
        store.set_status(version, ItemStatus.ACTIVE, reason="")
    stored = Library(store.entries())
    results = [stored.search(Query(text, space="team")) for text, _ in queries[:100]]
    assert sum(map(len, results)) > 300
    searched[store.database.engine.dialect.name] = results
    if len(searched) == 2:
        assert searched["sqlite"] == searched["postgresql"]


def test_the_rankers_find_cases_in_four_worlds() -> None:
    least = {"household": 0.7, "phone": 0.9, "backoffice": 0.9, "webshop": 0.9}
    for each in collections():
        assert len(each.queries) >= 200
        found = recalls(each.library(), each.queries)
        for name, recall in found.items():
            print(f"{each.world}, {name}: {recall.at_1:.3f}, {recall.at_5:.3f}")  # noqa: T201 - seen with `-s`
        assert found["fused"].at_5 > least.pop(each.world)
        assert all(recall.at_1 > 0.4 and recall.at_5 > 0.6 for recall in found.values())
    assert not least
