"""Embeddings of a real endpoint, which may fail at any time: an error or a fall-back, never a zero."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from agentgym.core.errors import InferenceFault
from agentgym.core.memory import ItemStatus, Provenance
from agentgym.memory.retrieval.embeddings import BATCH, Dense, KeptVectors
from agentgym.memory.retrieval.library import Library, Query
from agentgym.memory.retrieval.openai_embedder import OpenAIEmbedder
from agentgym.memory.store.rows import table
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import EmbeddingRow
from tests.memory.making import principle
from tests.memory.retrieval.embedding_api import EmbeddingApi, vector


def fill(store: MemoryStore, *texts: str) -> Library:
    items = [(principle(f"p{n}", text), Provenance()) for n, text in enumerate(texts)]
    for version in store.put_all(items):
        store.set_status(version, ItemStatus.ACTIVE, reason="")
    return Library(store.entries())


def kept(store: MemoryStore) -> int:
    with store.database.reading() as connection:
        return len(connection.execute(table(EmbeddingRow).select()).all())


def vectors(store: MemoryStore, api: EmbeddingApi) -> KeptVectors:
    return KeptVectors(OpenAIEmbedder(api.url, "small", retries=0), store)


def test_meaning_finds_what_shares_no_word(store: MemoryStore) -> None:
    library = fill(store, "heat in the microwave", "cool in the fridge", "scrub at the sink")
    assert library.search(Query("warm")) == []
    with EmbeddingApi() as api:
        library.rankers.append(Dense(library, vectors(store, api)))
        assert library.search(Query("warm"))[0].entry.key_text == "heat in the microwave"
        assert library.search(Query("chill", k=1))[0].entry.key_text == "cool in the fridge"


def test_each_text_is_sent_once(store: MemoryStore) -> None:
    library = fill(store, "heat", "cool")
    with EmbeddingApi() as api:
        for _ in range(2):
            dense = Dense(library, vectors(store, api))
            for _ in range(2):
                assert dense.scores("warm").shape == (2,)
        assert sorted(text for request in api.requests for text in request) == ["p0 heat", "p1 cool", "warm"]


def test_an_endpoint_that_fails_in_mid_run_keeps_what_came_before(store: MemoryStore) -> None:
    texts = [f"heat {n}" for n in range(2 * BATCH)]

    def fail_late(text: str) -> list[float]:
        if len(api.requests) > 1:
            raise ArithmeticError
        return vector(text)

    with EmbeddingApi(fail_late) as api:
        with pytest.raises(InferenceFault, match=r"gave no embeddings of 'small'.*out of order"):
            vectors(store, api).embed(texts)
        assert kept(store) == BATCH
        api.make = vector
        api.requests.clear()
        made = vectors(store, api).embed(texts)
        assert [len(request) for request in api.requests] == [BATCH]
    assert made.shape == (2 * BATCH, 4)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, rtol=1e-5)


def zeros(text: str) -> list[float]:
    return [0.0] * 4


def no_numbers(text: str) -> list[float]:
    return [math.nan] * 4


def nothing(text: str) -> list[float]:
    return []


def uneven(text: str) -> list[float]:
    return [1.0] * len(text)


@pytest.mark.parametrize("make", [zeros, no_numbers, nothing, uneven])
def test_vectors_that_are_none_are_refused_and_not_kept(
    store: MemoryStore, make: Callable[[str], list[float]]
) -> None:
    with EmbeddingApi(make) as api, pytest.raises(InferenceFault):
        vectors(store, api).embed(["heat", "cooling"])
    assert kept(store) == 0


def test_a_model_that_has_changed_is_noticed(store: MemoryStore) -> None:
    with EmbeddingApi() as api:
        vectors(store, api).embed(["heat"])
        api.make = uneven
        with pytest.raises(InferenceFault, match="differ in length"):
            vectors(store, api).embed(["heat", "cooling"])


def test_a_query_fails_or_falls_back(store: MemoryStore, caplog: pytest.LogCaptureFixture) -> None:
    library = fill(store, "heat an apple")
    with EmbeddingApi() as api:
        strict = Dense(library, vectors(store, api))
        lenient = Dense(library, vectors(store, api), fall_back=True)
    library.rankers.append(strict)  # the server is gone now
    with pytest.raises(InferenceFault, match="gave no embeddings"):
        library.search(Query("heat"))
    library.rankers[-1] = lenient
    (hit,) = library.search(Query("heat"))
    assert hit.entry.key_text == "heat an apple"
    assert lenient.fault is not None
    assert "goes on without embeddings" in caplog.text
