"""A PostgreSQL server of the tests' own, on a UNIX socket: real, private, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import psycopg


class Cluster(NamedTuple):
    """A running server."""

    socket: Path
    """The folder of its socket."""

    def url(self, database: str) -> str:
        return f"postgresql://agentgym@/{database}?host={self.socket}"

    def execute(self, statement: str) -> None:
        """Run a statement in the maintenance database."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def database(self) -> Generator[str]:
        """Make a database and yield its URL; it is dropped afterwards."""
        name = f"test_{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def private_cluster() -> Generator[Cluster]:
    """Run a server until the block ends. Its files lie in a new folder, which is removed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert found, "PostgreSQL is not installed: apt-get install postgresql"
    folder = Path(tempfile.mkdtemp(prefix="agentgym-pg-"))
    user = "postgres" if os.getuid() == 0 else None  # the server refuses to run as root
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    init = [
        found[-1] / "initdb",
        "-D",
        data,
        "-U",
        "agentgym",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    ]
    subprocess.run(init, check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "fsync": "off",
        "autovacuum": "off",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("w") as log:
        command = [found[-1] / "postgres", "-D", data, *options]
        server = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=folder)
    try:
        cluster = Cluster(folder)
        _wait(cluster, server, folder / "log")
        yield cluster
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
        shutil.rmtree(folder)


def _wait(cluster: Cluster, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1200):
        assert server.poll() is None, log.read_text()
        try:
            cluster.execute("SELECT 1")
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"PostgreSQL does not answer: {log.read_text()}")
