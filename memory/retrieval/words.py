"""Texts as words and word numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\W_]+")
_FUNCTION_WORDS = frozenset(
    """a an and are as at be by for from if in into is it its of on or so some such that the their them then there
    these they this to was were which will with you your""".split()  # noqa: SIM905 - a list would be a screen long
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def words(text: str) -> list[str]:
    """Return the words of a text that say what it is about, in lower case and without common English endings.

    Left out are the commonest English function words, unless there are no others.

    Parts of names are words: `heatFood`, `heat_food` and `heat-food` are `heat` and `food`.

    >>> words("Heating 2 potatoes in the microWave, then cleaned")
    ['heat', '2', 'potato', 'micro', 'wave', 'clean']
    """
    found = _WORD.findall(_CAMEL.sub(" ", text).lower())
    return [stem(word) for word in found if word not in _FUNCTION_WORDS] or [stem(word) for word in found]


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """Return an English word without its plural, `-ing` or `-ed`; words of other languages mostly as they are.

    >>> [stem(word) for word in ("boxes", "berries", "glass", "running", "washed", "bus", "sing")]
    ['box', 'berry', 'glass', 'run', 'wash', 'bus', 'sing']
    """
    if len(word) < 4 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes", "oes")):
        return word[:-2]
    if word.endswith("s"):
        return word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) > 2 and any(vowel in rest for vowel in "aeiouy"):
            return rest[:-1] if rest[-1] == rest[-2] and rest[-1] not in "lsz" else rest
    return word


class Vocabulary:
    """Numbers for words, from 0, in the order in which they came."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def number(self, text: str) -> list[int]:
        """Return the numbers of a text's words; new words get new ones."""
        known = self._numbers
        return [known.setdefault(word, len(known)) for word in words(text)]

    def find(self, word: str) -> int | None:
        """Return the number of a word, or None where it has none."""
        return self._numbers.get(word)


class Corpus:
    """Texts as word numbers: `flat` holds those of all texts one after another, `offsets` where each begins."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.vocabulary = Vocabulary()
        numbered = [np.asarray(self.vocabulary.number(text), np.int32) for text in texts]
        self.lengths: NDArray[np.int64] = np.asarray([len(numbers) for numbers in numbered], np.int64)
        self.flat: NDArray[np.int32] = np.concatenate([np.empty(0, np.int32), *numbered])
        self.offsets: NDArray[np.int64] = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)

    def __len__(self) -> int:
        return len(self.lengths)

    def segments(self, size: int) -> Iterable[tuple[int, int]]:
        """Yield the ranges of at most `size` texts."""
        edges = [*range(0, len(self), size), len(self)]
        return pairwise(edges) if len(self) else ()
