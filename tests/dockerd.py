"""A Docker daemon for the tests: the one that runs, or one that is started for as long as any test process needs it."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from agentgym.core.errors import UsageError
from agentgym.sandboxes.daemon import connect

_LOCKS = Path(tempfile.gettempdir())
_PATIENCE_S = 120.0


@contextmanager
def running() -> Generator[None]:
    """Have a daemon; whoever started it ends it, once no other test process uses it."""
    with (_LOCKS / "agentgym-tests-docker-use.lock").open("w") as use:
        daemon: subprocess.Popen[bytes] | None = None
        with (_LOCKS / "agentgym-tests-docker-start.lock").open("w") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            fcntl.flock(use, fcntl.LOCK_SH)  # first: whoever is ending the last one is waited for
            if not answers():
                daemon = started()
        try:
            yield
        finally:
            if daemon is not None:
                fcntl.flock(use, fcntl.LOCK_EX)
                daemon.terminate()
                daemon.wait()


def answers() -> bool:
    try:
        connect()
    except UsageError:
        return False
    return True


def started() -> subprocess.Popen[bytes]:
    log = Path(tempfile.mkdtemp(prefix="agentgym-dockerd-"), "log")
    with log.open("w") as output:
        daemon = subprocess.Popen(["dockerd"], stdout=output, stderr=output, start_new_session=True)
    deadline = time.monotonic() + _PATIENCE_S
    while not answers():
        if daemon.poll() is not None or time.monotonic() > deadline:
            daemon.kill()
            daemon.wait()
            raise AssertionError(f"dockerd did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.2)
    return daemon
