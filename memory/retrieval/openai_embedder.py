"""Embeddings from any OpenAI-compatible URL."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agentgym.core.errors import ConfigError, InferenceFault

try:
    import openai
except ImportError as error:
    raise ConfigError(
        "Embedding endpoints need the `openai` package: pip install 'agentgym-harness[endpoint]'."
    ) from error


class OpenAIEmbedder:
    """The model `model` at `url`, with the key in the environment variable `api_key_env`; see `core.memory.Embedder`.

    Failures that may pass (the connection, too many requests, the server's own) are tried again `retries` times, with
    growing waits.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key_env: str = "OPENAI_API_KEY",
        timeout_s: float = 60.0,
        retries: int = 2,
    ) -> None:
        self._url = url.rstrip("/")
        self._model = model
        # A key there must be: without one the client would look for others in the environment.
        key = os.environ.get(api_key_env, "").strip() or "none"
        self._client = openai.OpenAI(api_key=key, base_url=self._url, timeout=timeout_s, max_retries=retries)

    @property
    def space(self) -> str:
        """The address and the model."""
        return f"{self._url} {self._model}"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector per text, shape (texts, dimensions); raises `InferenceFault` where the server gives none."""
        try:
            answer = self._client.embeddings.create(
                model=self._model, input=list(texts), encoding_format="float"
            )
            entries = sorted(answer.data, key=lambda entry: entry.index)
            if [entry.index for entry in entries] != list(range(len(texts))):
                raise ValueError(f"{len(entries)} vectors for {len(texts)} texts")
            return np.asarray([entry.embedding for entry in entries], np.float32)
        except (openai.OpenAIError, AttributeError, TypeError, ValueError) as error:
            raise InferenceFault(
                f"{self._url} gave no embeddings of {self._model!r}: {error}. Check the address, the model and the "
                "server; nothing was kept of this request."
            ) from error
