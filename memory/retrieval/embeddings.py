"""Dense retrieval: vectors of an embedding endpoint, kept so that each text is sent once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from agentgym.core.errors import InferenceFault
from agentgym.core.memory import Embedder
from agentgym.memory.retrieval.library import Library
from agentgym.memory.store.rows import chunks, insert_new, table
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import EmbeddingRow

BATCH = 64
"""Texts in one request; what came back is kept before the next one is sent."""

_log = logging.getLogger(__name__)


class KeptVectors:
    """An embedder whose vectors are kept in a memory's database, by embedding space and text."""

    def __init__(self, embedder: Embedder, store: MemoryStore) -> None:
        self._embedder = embedder
        self._database = store.database

    @property
    def space(self) -> str:
        """That of the embedder."""
        return self._embedder.space

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of length 1 per text, shape (texts, dimensions).

        Raises `InferenceFault` where the embedder fails or gives what is no direction; the vectors that came
        before are kept, so that another attempt goes on from there.
        """
        names = {text: hashlib.sha256(text.encode()).hexdigest() for text in dict.fromkeys(texts)}
        kept = self._read(names.values())
        missing = [text for text, name in names.items() if name not in kept]
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            made = {names[text]: vector for text, vector in zip(batch, self._ask(batch), strict=True)}
            self._write(made)
            kept |= made
        if len({len(vector) for vector in kept.values()}) > 1:
            raise InferenceFault(
                f"Vectors of the embedding space {self.space!r} differ in length: the model behind it has changed. "
                "Give the space another name."
            )
        return np.stack([kept[names[text]] for text in texts]) if texts else np.empty((0, 0), np.float32)

    def _ask(self, batch: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.asarray(self._embedder.embed(batch), np.float32)
        if vectors.ndim != 2 or len(vectors) != len(batch):
            raise InferenceFault(
                f"The embedder {self.space!r} gave an array of shape {vectors.shape} for {len(batch)} texts."
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.all(np.isfinite(lengths)) or not np.all(lengths > 0):
            raise InferenceFault(
                f"The embedder {self.space!r} gave a vector that is zero or not finite, which is like nothing; nothing "
                "of this batch was kept."
            )
        return vectors / lengths

    def _read(self, names: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        row = table(EmbeddingRow)
        found: dict[str, NDArray[np.float32]] = {}
        with self._database.reading() as connection:
            for chunk in chunks(names):
                query = select(row).where(row.c.space == self.space, row.c.text_sha.in_(chunk))
                found |= {
                    each.text_sha: np.frombuffer(each.vector, "<f4") for each in connection.execute(query)
                }
        return found

    def _write(self, vectors: dict[str, NDArray[np.float32]]) -> None:
        rows = (
            {"space": self.space, "text_sha": name, "vector": vector.astype("<f4").tobytes()}
            for name, vector in vectors.items()
        )
        with self._database.writing() as connection:
            insert_new(connection, EmbeddingRow, rows)


class Dense:
    """Ranks the texts of a library by the cosine of their vectors with a query's.

    A query that cannot be embedded raises `InferenceFault`; with `fall_back` the ranker then finds nothing and says
    so in `fault` and in the log, so that a fused search goes on with words alone.
    """

    name = "dense"

    def __init__(self, library: Library, vectors: KeptVectors, *, fall_back: bool = False) -> None:
        """Embed the library's texts. Raises `InferenceFault` where that fails; what was embedded is kept."""
        self._vectors = vectors
        self._fall_back = fall_back
        self._matrix = vectors.embed(library.texts)
        self.fault: InferenceFault | None = None
        """Why the last query was not embedded; None: it was."""

    def scores(self, text: str) -> NDArray[np.float32]:
        """Return the cosine with each text of the library, shape (texts,), from -1 to 1."""
        try:
            (vector,) = self._vectors.embed([text])
        except InferenceFault as fault:
            if not self._fall_back:
                raise
            self.fault = fault
            _log.warning("Retrieval goes on without embeddings: %s", fault)
            return np.zeros(len(self._matrix), np.float32)
        self.fault = None
        return self._matrix @ vector if len(self._matrix) else np.zeros(0, np.float32)
