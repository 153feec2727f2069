"""Playing by hand: piped, and at a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import agentgym
from tests.cli.driver import Cli
from tests.waiting import eventually

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


IN_TERMINAL = """
import fcntl, signal, sys, termios
from agentgym.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started by
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that keys such as Ctrl-C reach this process
main(sys.argv[1:])
"""


def solution(seed: int) -> list[str]:
    """What the oracle does on the task that `agentgym play household --seed SEED` draws."""
    with closing(agentgym.make("household")) as env:
        env.reset(seed=seed)
        actions, over = list[str](), False
        while not over:
            actions.append(str(env.oracle()))
            _, _, terminated, truncated, _ = env.step(actions[-1])
            over = terminated or truncated
    return actions


def test_an_episode_solved_by_commands(cli: Cli) -> None:
    actions = solution(3)
    done = cli("play", "household", "--seed", "3", typed="\n".join(actions))
    assert (done.code, done.err) == (0, "")
    assert done.out.rstrip().endswith(f"Solved after {len(actions)} turns; score 1.")
    assert all(f"> {action}\n" in done.out for action in actions), "a piped game reads as a transcript"
    assert max(map(len, done.out.splitlines())) <= 80


def test_numbers_questions_hints_and_leaving(cli: Cli) -> None:
    done = cli("play", "household", "--seed", "3", typed="2\n?\nhint\nnonsense\nquit\nlook\n")
    assert done.code == 0
    assert "You arrive at coffeetable 1" in done.out
    assert f"The expert would: {solution(3)[0]}" in done.out
    assert "Nothing happens." in done.out
    assert done.out.endswith("You left after 2 turns.\n")


def test_one_task_out_of_another_split(cli: Cli) -> None:
    task = agentgym.suite("household").tasks("heldout")[7].id
    assert cli("play", "household", "--split", "heldout", "--task", task).out.startswith(f"Task {task}\n")


def test_running_out_of_steps_is_not_solved(cli: Cli) -> None:
    done = cli("play", "household", "-o", "max_steps=2", typed="look\nlook\n")
    assert done.out.endswith("Not solved after 2 turns; score 0.\n")


class Terminal:
    """`agentgym play household` in a pseudo-terminal."""

    def __init__(self, columns: int, folder: Path) -> None:
        self._end, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", IN_TERMINAL, "play", "household", "--seed", "3"],
            stdin=other,
            stdout=other,
            stderr=other,
            cwd=folder,
            env={**environment, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(other)

    def type(self, text: str) -> str:
        """Type, and return what appears up to the next prompt or the end, without colours."""
        # Python sees a Ctrl-C between its prompt and its wait for a line only after the line.
        assert eventually(self._waits)
        os.write(self._end, text.encode())
        return self.read()

    def read(self) -> str:
        """Return what appears up to the next prompt or the end."""
        shown = b""
        while not shown.endswith(b"\n> "):
            ready, _, _ = select.select([self._end], [], [], 60)
            assert ready, f"nothing more came after {shown.decode()!r}"
            try:
                got = os.read(self._end, 4096)
            except OSError:  # the other end is closed: Linux says so with an error, others with nothing
                break
            if not got:
                break
            shown += got
        return ESCAPES.sub("", shown.decode().replace("\r\n", "\n"))

    def _waits(self) -> bool:
        stat = Path(f"/proc/{self.process.pid}/stat").read_text("ascii")
        return stat.rpartition(")")[2].split()[0] == "S"

    def close(self) -> None:
        """Hang up."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._end)


@pytest.fixture(params=[80, 170])
def terminal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminal]:
    with closing(Terminal(request.param, tmp_path)) as terminal:
        yield terminal


def test_a_person_follows_the_hints_to_the_end(terminal: Terminal) -> None:
    shown = [terminal.read()]
    assert "Your task is to" in shown[0]
    assert "? lists all actions, hint asks the expert, quit leaves." in shown[0]
    while "score" not in shown[-1]:
        hint = re.search("The expert would: (.+)\n", terminal.type("hint\n"))
        assert hint is not None
        shown.append(terminal.type(f"{hint[1]}\n"))
        assert len(shown) < 20
    assert shown[-1].endswith(f"Solved after {len(solution(3))} turns; score 1.\n")
    lines = "".join(shown).splitlines()
    assert max(map(len, lines)) in (80, 100), (
        "frames as wide as the screen, but not wider than is easy to read"
    )
    assert terminal.process.wait() == 0


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_one_key_leaves(tmp_path: Path, key: str) -> None:
    with closing(Terminal(80, tmp_path)) as terminal:
        terminal.read()
        terminal.type("look\n")
        assert terminal.type(key).endswith("\nYou left after 1 turn.\n")
        assert terminal.process.wait() == 0
