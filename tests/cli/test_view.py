"""`agentgym view`, as a process of its own."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2

from agentgym.cli.viewing import view
from agentgym.store.store import Store
from tests.cli.driver import Cli
from tests.cli.test_help import example

ROOT = Path(__file__).parents[2]


def make_run(runs: Path) -> None:
    (runs / "reference").mkdir(parents=True)
    with Store(runs / "reference" / "store.sqlite") as store:
        store.create_run("the-run", "train", config={}, versions={})


def test_its_example_opens_the_page_of_the_run_until_it_is_stopped(tmp_path: Path) -> None:
    make_run(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "agentgym.cli", *example(view.__doc__ or ""), "--runs", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    link = re.fullmatch(r"Open (http://127\.0\.0\.1:\d+/runs/reference/the-run\?token=\S+)\n", line)
    assert link, (line, process.communicate())
    with httpx2.Client(follow_redirects=True) as http:
        assert "the-run" in http.get(link[1]).text or "reference" in http.get(link[1]).text
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "Stopped.\n", "")


def test_a_program_reads_where_it_is(tmp_path: Path) -> None:
    make_run(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "agentgym.cli", "view", "--runs", str(tmp_path), "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert httpx2.get(told["open"]).status_code == 303
    assert httpx2.get(told["url"]).status_code == 401
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", None)


def test_bad_input_is_told(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path)
    done = cli("view", "refrence", "--runs", str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert "Did you mean 'reference'?" in done.err
    done = cli("view", "--runs", str(tmp_path / "none"))
    assert done.code == 2
    assert "--runs" in done.err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = cli("view", "--runs", str(tmp_path), "--port", str(taken.getsockname()[1]))
    assert done.code == 2
    assert "Cannot listen on 127.0.0.1" in done.err
