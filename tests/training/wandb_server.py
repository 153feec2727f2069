"""What a server of Weights & Biases does for a run, as far as its client needs: runs, and lines added to files."""

from __future__ import annotations

import gzip
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

KEY = "0123456789abcdef" * 3
ENTITY = {"id": "entity", "name": "somebody"}


@dataclass
class SentRun:
    """A run as the server has it."""

    name: str
    config: dict[str, Any]
    lines: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    summary: dict[str, Any] = field(default_factory=dict[str, Any])
    exit_code: int | None = None

    def curve(self, name: str) -> dict[int, float]:
        """One figure by step; a step that is there twice is no curve."""
        steps = [line["_step"] for line in self.lines]
        assert len(set(steps)) == len(steps)
        return {line["_step"]: line[name] for line in self.lines}


class WandbServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[str, SentRun] = {}
        self.lock = Lock()
        self.refusing = False
        """Whether every request is answered that the key is wrong."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer what is asked about runs."""
        if operation == "RunResumeStatus":
            return {"model": self._model(asked["name"], asked["project"])}
        if operation == "CreateRunFiles":
            return {"createRunFiles": {"runID": "run", "uploadHeaders": [], "files": []}}
        assert operation == "UpsertBucket", operation
        inserted = asked["name"] not in self.runs
        run = self.runs.setdefault(asked["name"], SentRun(asked["displayName"], {}))
        run.config = json.loads(asked["config"] or "null") or run.config
        project = {"id": "project", "name": asked["project"], "entity": ENTITY}
        bucket = {**self._bucket(asked["name"]), "description": None, "sweepName": None, "project": project}
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def add(self, name: str, content: dict[str, Any]) -> None:
        """Write lines at their places, as a file is streamed."""
        run, files = self.runs[name], content.get("files", {})
        if history := files.get("wandb-history.jsonl"):
            assert history["offset"] == len(run.lines)
            run.lines += [json.loads(line) for line in history["content"]]
        if summary := files.get("wandb-summary.json"):
            run.summary = json.loads(summary["content"][-1])
        run.exit_code = content.get("exitcode", run.exit_code)

    def _model(self, name: str, project: str) -> dict[str, Any]:
        bucket = self._bucket(name) if name in self.runs else None
        return {"id": "project", "name": project, "entity": ENTITY, "bucket": bucket}

    def _bucket(self, name: str) -> dict[str, Any]:
        run = self.runs[name]
        return {
            "id": "run",
            "name": name,
            "displayName": run.name,
            "config": json.dumps(run.config),
            "summaryMetrics": json.dumps(run.summary),
            "historyLineCount": len(run.lines),
            "historyTail": json.dumps([json.dumps(line) for line in run.lines[-1:]]),
            "eventsLineCount": 0,
            "eventsTail": "[]",
            "logLineCount": 0,
            "tags": [],
            "notes": None,
            "wandbConfig": '{"t": {}}',  # without it the client takes a run for one that never began
        }


class _Handler(BaseHTTPRequestHandler):
    server: WandbServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            data = gzip.decompress(data)
        if self.server.refusing:
            self._send(401, {"error": "wrong key"})
        elif self.path == "/graphql":
            asked = json.loads(data)
            with self.server.lock:
                found = self.server.answer(asked["operationName"], asked["variables"])
            self._send(200, {"data": found})
        elif self.path.endswith("/file_stream"):
            with self.server.lock:
                self.server.add(self.path.split("/")[-2], json.loads(data))
            self._send(200, {})
        else:
            self._send(404, {})

    def _send(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def wandb_server() -> Generator[WandbServer]:
    """A server for as long as the context lasts."""
    with WandbServer() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
