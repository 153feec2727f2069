"""A command line that halts itself at a moment of its output, so that nobody has to be quick to interrupt it there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

SCRIPT = """
import io, os, resource, signal, sys
from agentgym.cli.main import main

moment, largest_file = sys.argv[1], int(sys.argv[2])

class Halting(io.TextIOWrapper):
    def write(self, text):
        count = super().write(text)
        if moment and f"\\n{moment}" in f"\\n{text}":
            self.flush()
            os.kill(os.getpid(), signal.SIGSTOP)
        return count

sys.stdout = Halting(sys.stdout.buffer, line_buffering=True)
if largest_file:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
main(sys.argv[3:])
"""


def start(words: Sequence[str], *, moment: str = "", largest_file: int = 0) -> subprocess.Popen[str]:
    """Start `agentgym WORDS...` in a process of its own.

    It stops when it has written a line that begins with `moment`; no file may outgrow `largest_file` bytes (0: any).
    """
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, moment, str(largest_file), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end_at_its_moment(process: subprocess.Popen[str], how: signal.Signals) -> str:
    """Send a signal to a process once it has stopped at its moment, and return what it said of that as an error."""
    found = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert found is not None
    assert found.si_code == os.CLD_STOPPED, f"it ended before its moment: {process.communicate()}"
    process.send_signal(how)
    process.send_signal(signal.SIGCONT)
    return process.communicate()[1]
