"""A small HTTP server that speaks OpenAI's embeddings, and fails on request: real sockets, no stand-ins."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import numpy as np

CONCEPTS = {"heat": 0, "warm": 0, "microwave": 0, "cool": 1, "chill": 1, "fridge": 1, "wash": 2, "clean": 2}


def vector(text: str) -> list[float]:
    """Words with one meaning point in one direction."""
    found = np.full(4, 0.01)
    for word in text.lower().split():
        found[CONCEPTS.get(word, 3)] += 1.0 if word in CONCEPTS else 0.1
    return found.tolist()


class EmbeddingApi:
    """Serves from the beginning of the block to its end. `make` gives the vectors, or raises to fail with 500."""

    def __init__(self, make: Callable[[str], list[float]] = vector) -> None:
        self.make = make
        self.requests: list[list[str]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                api.requests.append(body["input"])
                try:
                    data = [
                        {"object": "embedding", "index": n, "embedding": api.make(text)}
                        for n, text in enumerate(body["input"])
                    ]
                    status, answer = 200, {"object": "list", "data": data[::-1], "model": body["model"]}
                except ArithmeticError:
                    status, answer = 500, {"error": {"message": "out of order"}}
                written = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(written)))
                self.end_headers()
                self.wfile.write(written)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True, args=(0.01,)).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
