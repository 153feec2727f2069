"""Who is kept out, and what a page says where there is nothing to show."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from agentgym.core.errors import UsageError
from agentgym.core.trace import Outcome
from agentgym.serving.viewer.server import Viewer
from agentgym.store.store import Store
from agentgym.store.tables import SCHEMA_VERSION
from tests.serving.viewer.stand import TOKEN, episode, good_and_bad, make_run, served, turn

RUN = "/runs/tiny/tiny"


def client(viewer: Viewer) -> httpx2.Client:
    """A client that has the cookie."""
    port = viewer.url.rpartition(":")[2]
    return httpx2.Client(base_url=viewer.url, cookies={f"agentgym_viewer_{port}": TOKEN})


@pytest.fixture
def http(viewer: Viewer) -> Iterator[httpx2.Client]:
    with client(viewer) as http:
        yield http


def test_the_token_becomes_a_cookie_and_leaves_the_address(viewer: Viewer) -> None:
    with httpx2.Client(base_url=viewer.url) as http:
        answer = http.get(f"{RUN}/episodes?outcome=failure&token={TOKEN}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"{RUN}/episodes?outcome=failure")
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert http.get(answer.headers["location"]).status_code == 200
        assert http.get(f"{viewer.url}//example.com/?token={TOKEN}").headers["location"] == "/example.com/"


@pytest.mark.parametrize(
    "path", ["/", "/?token=wrong", "/?token=", "/static/viewer.js", f"{RUN}/events", "/no/page"]
)
def test_without_the_token_there_is_nothing_to_see(viewer: Viewer, path: str) -> None:
    port = viewer.url.rpartition(":")[2]
    for cookie in ("", "wrong", "\u00e9"):
        with httpx2.Client(headers=[(b"cookie", f"agentgym_viewer_{port}={cookie}".encode())]) as http:
            answer = http.get(viewer.url + path)
            assert answer.status_code == 401
            assert "agentgym view" in answer.text


def test_other_names_for_this_machine_and_other_methods_are_refused(http: httpx2.Client) -> None:
    assert http.get("/", headers={"host": "attacker.example"}).status_code == 403
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert http.request(method, RUN).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/runs/..%2f..%2fetc/passwd",
        "/runs/%2e%2e/tiny",
        "/runs/tiny/..%2ftiny",
        "/static/..%2fapp.py",
        "/static/%2e%2e/%2e%2e/app.py",
        f"{RUN}/episodes/../../../../etc/passwd",
        f"{RUN}/episodes/none",
        f"{RUN}/groups/none",
        f"{RUN}/charts/none.svg",
        f"{RUN}/images/0/e/good",
        f"{RUN}/text/9/e/good",
        "/nowhere",
    ],
)
def test_what_is_not_there_is_told(http: httpx2.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 404
    assert "root:" not in answer.text
    assert "import" not in answer.text


@pytest.mark.parametrize(
    ("before", "after"), [("../tiny", "tiny:after"), ("/etc/passwd.json", "x"), ("a", "b")]
)
def test_only_evaluations_of_the_runs_are_compared(http: httpx2.Client, before: str, after: str) -> None:
    answer = http.get("/compare", params={"before": before, "after": after})
    assert answer.status_code == 400
    assert "Unknown evaluation" in answer.text


def test_a_port_in_use_is_told(viewer: Viewer, tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="Cannot listen on"),
        served(tmp_path, port=int(viewer.url[-5:])),
    ):
        pass


def test_a_run_that_is_deleted_in_mid_view_is_gone_and_one_in_its_place_is_shown(root: Path) -> None:
    folder = make_run(root, "tiny", good_and_bad())
    with served(root) as viewer, client(viewer) as http:
        assert http.get(f"{RUN}/episodes/e/good").status_code == 200
        shutil.rmtree(folder)
        for path in (RUN, f"{RUN}/episodes/e/good", f"{RUN}/charts/success.svg"):
            answer = http.get(path)
            assert answer.status_code == 404
            assert "Unknown run" in answer.text
        assert "no runs here yet" in http.get("/").text
        make_run(root, "tiny", [])
        assert http.get(f"{RUN}/episodes/e/good").status_code in (404, 503)
        assert "No episode matches" in http.get(f"{RUN}/episodes").text


def test_a_store_of_a_newer_version_is_named_and_the_others_are_shown(root: Path) -> None:
    new = make_run(root, "newer", [])
    make_run(root, "tiny", [])
    with closing(sqlite3.connect(new / "store.sqlite")) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    with served(root) as viewer, client(viewer) as http:
        listed = http.get("/").text
        assert f"schema version {SCHEMA_VERSION + 1}" in listed
        assert RUN in listed
        answer = http.get("/runs/newer/newer")
        assert answer.status_code == 400
        assert "install the version of agentgym that wrote it" in answer.text


def test_a_store_is_read_while_it_is_written(root: Path) -> None:
    folder = make_run(root, "tiny", [])
    done = threading.Event()

    def write() -> None:
        with Store(folder / "store.sqlite") as store:
            for number in range(60):
                store.write_episodes(
                    "tiny", [episode(str(number), [turn("a", "b")], Outcome.FAILURE)], iteration=0
                )
        done.set()

    with served(root) as viewer, client(viewer) as http:
        writer = threading.Thread(target=write)
        writer.start()
        while not done.is_set():
            assert http.get(f"{RUN}/episodes").status_code == 200
        writer.join()
        assert "Browse 60 episodes" in http.get(RUN).text
