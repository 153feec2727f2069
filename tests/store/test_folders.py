"""A run is carried out by one process at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agentgym.core.errors import UsageError
from agentgym.store.folders import alone_in

HOLDER = """
import sys
from pathlib import Path
from agentgym.store.folders import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_is_held_until_its_process_ends_however_that_is(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="in use by another process"), alone_in(tmp_path):
            pass
        holder.kill()
    with alone_in(tmp_path):
        pass
    with pytest.raises(ZeroDivisionError), alone_in(tmp_path):
        raise ZeroDivisionError
    with alone_in(tmp_path), pytest.raises(UsageError, match=str(tmp_path)), alone_in(tmp_path):
        pass
