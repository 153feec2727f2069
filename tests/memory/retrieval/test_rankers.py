import math
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.memory.retrieval.bm25 import K1, B, Bm25
from agentgym.memory.retrieval.fusion import fuse, top
from agentgym.memory.retrieval.ngrams import Ngrams, features
from agentgym.memory.retrieval.postings import Counts, Postings, Segment, frequencies
from agentgym.memory.retrieval.words import Corpus, words

WORDS = ["fridge", "microwave", "apple", "plate", "lamp", "wash", "heat", "drawer"]
texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), min_size=1, max_size=12)


def bm25_by_the_book(corpus: list[list[str]], query: list[str]) -> list[float]:
    average = max(sum(map(len, corpus)) / len(corpus), 1.0)

    def weight(word: str, text: list[str]) -> float:
        n = sum(word in each for each in corpus)
        idf = math.log(1 + (len(corpus) - n + 0.5) / (n + 0.5))
        tf = text.count(word)
        return idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * len(text) / average))

    return [sum(weight(word, text) for word in query) for text in corpus]


@given(texts, st.lists(st.sampled_from([*WORDS, "unknown"]), max_size=5))
def test_bm25_is_the_formula(corpus: list[str], query: list[str]) -> None:
    scores = Bm25(Corpus(corpus)).scores(" ".join(query))
    np.testing.assert_allclose(scores, bm25_by_the_book([words(each) for each in corpus], query), rtol=1e-5)


def test_a_word_that_most_texts_have_still_counts() -> None:
    scores = Bm25(Corpus(["apple plate", "apple", "apple lamp", "lamp"])).scores("apple")
    assert scores[0] > 0.2  # FTS5 has about 1e-6
    assert scores[3] == 0


@settings(max_examples=25)
@given(texts, texts)
def test_ngram_similarity_is_a_cosine(corpus: list[str], queries: list[str]) -> None:
    ranker = Ngrams(Corpus(corpus))
    for text in [*corpus, *queries]:
        scores = ranker.scores(text)
        assert np.all((scores >= 0) & (scores < 1.0001))
    for place, text in enumerate(corpus):
        if text:
            assert ranker.scores(text)[place] == pytest.approx(1, abs=1e-4)


def test_ngrams_find_what_is_misspelled() -> None:
    corpus = Corpus(["put the plate into the microwave", "look at the book under the lamp", "cool an apple"])
    assert Bm25(corpus).scores("mircowave").max() == 0
    assert top(Ngrams(corpus).scores("mircowave"), 1).tolist() == [0]


def test_features_are_the_same_in_every_process() -> None:
    script = "from agentgym.memory.retrieval.ngrams import features; print(features('microwave').tolist())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(features("microwave").tolist())


def test_the_rarest_features_are_read_first() -> None:
    """Where not all postings can be read, those of common features are left out."""
    pairs = [(0, text) for text in range(9)] + [(1, 4)]
    numbers, members = (np.asarray(column, np.int32) for column in zip(*pairs, strict=True))
    counts = Counts.of(numbers, members, 9)
    postings = Postings([Segment.of(0, 9, 2, counts, counts.counts)], frequencies([counts], 2))
    both, ones = np.asarray([0, 1]), np.ones(2, np.float32)
    assert postings.scores(both, ones).tolist() == [1, 1, 1, 1, 2, 1, 1, 1, 1]
    assert postings.scores(both, ones, budget=9).tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0]


def test_segments_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus([f"{a} {b}" for a in WORDS for b in WORDS])
    whole = [ranker(corpus).scores("heat an apple plate") for ranker in (Bm25, Ngrams)]
    for module in ("bm25", "ngrams"):
        monkeypatch.setattr(f"agentgym.memory.retrieval.{module}.SEGMENT", 7)
    parts = [ranker(corpus).scores("heat an apple plate") for ranker in (Bm25, Ngrams)]
    np.testing.assert_array_equal(whole, parts)


def test_an_empty_corpus_and_empty_texts() -> None:
    for texts in ([], ["", "..."]):
        for ranker in (Bm25, Ngrams):
            assert ranker(Corpus(texts)).scores("anything at all").tolist() == [0.0] * len(texts)
    assert Bm25(Corpus(["apple"])).scores("").tolist() == [0.0]


@given(st.lists(st.integers(-1, 3), max_size=30), st.integers(0, 10))
def test_top_orders_by_score_and_then_by_place(scores: list[int], k: int) -> None:
    expected = sorted(
        (place for place, score in enumerate(scores) if score > 0), key=lambda n: (-scores[n], n)
    )
    assert top(np.asarray(scores, np.float32), k).tolist() == expected[:k]


def test_fusion_adds_reciprocal_ranks() -> None:
    fused = fuse([np.array([3, 1]), np.array([1, 2])])
    assert fused == {1: 1 / 62 + 1 / 61, 3: 1 / 61, 2: 1 / 62}
    assert list(fused) == [1, 3, 2]


@given(st.text())
def test_any_text_has_words(text: str) -> None:
    assert all((word and word == word.lower()) or not word.isascii() for word in words(text))
    assert Counter(words(text)) == Counter(words(f" {text} "))
