"""Embeddings beside words, for what items are found by."""

from __future__ import annotations

from agentgym.evolution.settings import EvolveSettings
from agentgym.memory.recall import Dressing
from agentgym.memory.retrieval.library import Library
from agentgym.memory.store.store import MemoryStore


def dressing(settings: EvolveSettings) -> Dressing | None:
    """Return what adds the settings' embeddings to a library; None where they want none.

    Items are embedded before the first episode of a batch, of a replay by the gate or of an evaluation: an endpoint that
    fails there ends the evolution with `InferenceFault`, and nothing is lost. One that fails later is gone on without:
    the log says so, and the episode is found what words find. Raises `ConfigError` without the client.
    """
    if not settings.embeddings:
        return None
    from agentgym.memory.retrieval.embeddings import Dense, KeptVectors
    from agentgym.memory.retrieval.openai_embedder import OpenAIEmbedder

    embedder = OpenAIEmbedder(settings.embeddings, settings.embeddings_name, api_key_env=settings.api_key_env)

    def dress(library: Library, store: MemoryStore) -> None:
        library.rankers.append(Dense(library, KeptVectors(embedder, store), fall_back=True))

    return dress
