"""`agentgym evolve`: data, the page, bad input, going on."""

from __future__ import annotations

import json
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from agentgym.store.folders import alone_in
from agentgym.store.store import Store
from tests.cli.driver import Cli

QUICK = [
    *("backoffice", "-o", "difficulty=easy", "--batches", "1", "--tasks", "8", "--max-turns", "12"),
    *("--gate-tasks", "4", "--name", "small"),
]


def test_it_tells_everything_as_json_and_leaves_a_page_and_is_done_when_gone_on_with(cli: Cli) -> None:
    done = cli("evolve", *QUICK, "--evaluate", "3", "--json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    (batch,) = told["batches"]
    assert batch["episodes"] == 32
    assert told["comparison"]["difference"]["tasks"] == 12
    page = Path(told["report"]).read_text("utf-8")
    assert "What the library is worth" in page
    again = cli("evolve", "--resume", "small", "--json")
    assert json.loads(again.out)["batches"] == told["batches"]
    with alone_in(Path("runs/small")):
        busy = cli("evolve", "--resume", "small")
    assert busy.code == 2
    assert "in use by another process" in " ".join(busy.err.split())
    shown = cli("evolve", "--resume", "small")
    assert "EGL" in shown.out
    taken = cli("evolve", *QUICK)
    assert taken.code == 2
    assert "exists already" in taken.err
    assert "agentgym evolve --resume" in " ".join(taken.err.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["household", "--batches", "0"], "--batches"),
        (["houshold"], "Did you mean 'household'?"),
        (["--resume", "nothing"], "Unknown evolution 'nothing'"),
        (["household", "--resume", "nothing"], "--resume goes on"),
        (["household", "--evolver", "me"], "'scripted', a URL or openai:MODEL, got 'me'"),
        (["household", "--model", "random"], "reads no memory"),
        (["household", "--model", "no-such-run"], "no-such-run"),
        (["household", "--name", "a/b"], "--name is the name of one directory"),
        (["household", "-o", "difficulty=huge"], "huge"),
        (["household", "--library", "mysql://x/y"], "postgresql://"),
        (["household", "--shown", "0.9"], "--shown"),
        ([], "ENV"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_and_leaves_nothing(words: list[str], told: str, cli: Cli) -> None:
    done = cli("evolve", *words)
    assert done.code == 2
    assert told in " ".join(done.err.replace("│", " ").split())
    assert not list(Path("runs").glob("*"))


class _Refusal(BaseHTTPRequestHandler):
    """Lists a model, and lets nobody ask it."""

    def do_GET(self) -> None:
        self._tell(200, {"object": "list", "data": [{"id": "writer", "object": "model"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._tell(401, {"error": {"message": "no such key"}})

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _tell(self, status: int, answer: object) -> None:
        told = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)


@pytest.fixture
def refusing() -> Generator[str]:
    """Give the address of an endpoint that takes no key."""
    server = HTTPServer(("127.0.0.1", 0), _Refusal)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_writer_that_is_not_let_in_costs_no_episode(refusing: str, cli: Cli) -> None:
    done = cli("evolve", *QUICK, "--evolver", refusing, "--evolver-name", "writer")
    assert done.code == 2
    assert "agentgym evolve --resume" in " ".join(done.err.split())
    with Store(Path("runs/small/store.sqlite"), create=False) as store:
        assert sum(store.phases("small").values()) == 32
