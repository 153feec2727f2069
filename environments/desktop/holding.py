"""What holds a desktop's processes: namespaces of its own, or the container that this program runs in."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from agentgym.core.errors import EnvironmentFault

HOME = "/home/user"
"""Where the user's files are, as programs on the desktop see it."""
CONTAINER_VARIABLE = "AGENTGYM_DESKTOP_CONTAINER"
"""Set in a container that has nothing else to do: it holds one desktop at a time, without namespaces in it."""
_SUBREAPER = 36
_FAREWELL_S = 3.0
_TEMPORARY = Path("/tmp")


class Holder(Protocol):
    """Where a desktop's files lie, and how its first process is started."""

    home: Path
    """The user's folder, from outside."""

    def command(self, display: int, variables: Mapping[str, str], words: Sequence[str]) -> list[str]:
        """Return the command that runs `words` with these variables and no others."""
        ...

    def clear(self) -> None:
        """End what is left of the desktop, and remove its files; its first process has ended."""
        ...


class Namespaces:
    """Namespaces of bubblewrap's: what is in them sees no other process, and of other files the system's alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.home = folder / "home"
        self.home.mkdir()

    def command(self, display: int, variables: Mapping[str, str], words: Sequence[str]) -> list[str]:
        """Return the command."""
        socket = f"/tmp/.X11-unix/X{display}"
        links = [("usr/bin", "/bin"), ("usr/lib", "/lib"), ("usr/lib64", "/lib64")]
        return [
            *("bwrap", "--unshare-all", "--as-pid-1", "--die-with-parent", "--new-session", "--clearenv"),
            *("--uid", "1000", "--gid", "1000", "--hostname", "desktop"),
            *("--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc"),
            *(word for target, name in links for word in ("--symlink", target, name)),
            *("--ro-bind-try", "/var/cache/fontconfig", "/var/cache/fontconfig"),
            *("--ro-bind", str(self._folder / "passwd"), "/etc/passwd"),
            *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run"),
            *("--perms", "0700", "--dir", "/run/user"),
            *("--bind", str(self.home), HOME, "--ro-bind", socket, socket, "--chdir", HOME),
            *(word for name, value in variables.items() for word in ("--setenv", name, value)),
            *("--", *words),
        ]

    def clear(self) -> None:
        """Do nothing: all processes ended with the first one, and the folder is the box's."""


class Container:
    """The container around this program. Raises `EnvironmentFault` where another desktop is there already."""

    def __init__(self) -> None:
        self._lock = (_TEMPORARY / "agentgym-desktop.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise EnvironmentFault(
                "This container holds one desktop, and there is one already; serve it with --sessions 1."
            ) from None
        self.home = Path(HOME)
        _empty(self.home)  # of a program that was killed
        self._before = {path.name for path in _TEMPORARY.iterdir()}
        self._children = _children()
        # What loses its parent becomes a child of this process, and is found by `clear`.
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
        (_TEMPORARY / ".X11-unix").mkdir(exist_ok=True)
        (_TEMPORARY / ".X11-unix").chmod(0o1777)
        (_TEMPORARY / "run").mkdir(mode=0o700, exist_ok=True)

    def command(self, display: int, variables: Mapping[str, str], words: Sequence[str]) -> list[str]:
        """Return the command."""
        named = {**variables, "XDG_RUNTIME_DIR": str(_TEMPORARY / "run"), CONTAINER_VARIABLE: "1"}
        return [
            "env",
            "--ignore-environment",
            f"--chdir={HOME}",
            *(f"{n}={v}" for n, v in named.items()),
            *words,
        ]

    def clear(self) -> None:
        """Kill every process that has come since, as often as there are some, and empty HOME and /tmp."""
        deadline = time.monotonic() + _FAREWELL_S
        while (left := _children() - self._children) and time.monotonic() < deadline:
            for process in left:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
        _empty(self.home)
        _empty(_TEMPORARY, self._before)
        self._lock.close()


def in_container() -> bool:
    """Whether the container around this program is to hold the desktop."""
    return bool(os.environ.get(CONTAINER_VARIABLE))


def _empty(folder: Path, kept: Collection[str] = ()) -> None:
    for path in folder.iterdir():
        if path.name in kept:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        found |= {int(process) for process in (task / "children").read_text().split()}
    return found
