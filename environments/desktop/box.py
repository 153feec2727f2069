"""A box for one desktop: its own user, HOME, processes and session, in namespaces, beside an X server of its own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentgym.core.errors import EnvironmentFault, UsageError
from agentgym.environments.desktop.holding import HOME, Container, Holder, Namespaces, in_container

WIDTH, HEIGHT = 800, 600
"""Pixels of the screen."""
PACKAGES = {
    "Xvfb": "xvfb",
    "openbox": "openbox",
    "bwrap": "bubblewrap",
    "setpriv": "util-linux",
    "dbus-run-session": "dbus",
    "mousepad": "mousepad",
    "pcmanfm": "pcmanfm",
    "xterm": "xterm",
    "galculator": "galculator",
    "gnumeric": "gnumeric",
    "gpicview": "gpicview",
}
"""Programs that a desktop needs, and the Debian packages that they come in."""
_FOR_NAMESPACES = {"bwrap"}
_FILES = {
    "/usr/libexec/at-spi-bus-launcher": "at-spi2-core",
    "/usr/lib/python3/dist-packages/gi": "python3-gi",
}
_PATIENCE_S = 60.0
_FAREWELL_S = 3.0
_FIRST_USER, _USERS = 300_000, 50_000
_PASSWD = f"root:x:0:0:root:/root:/bin/false\nuser:x:1000:1000:User:{HOME}:/bin/bash\n"
_GTK = {
    "gtk-cursor-blink": "0",
    "gtk-enable-animations": "0",
    "gtk-double-click-time": "50",  # so that two clicks in two steps are never taken for one
}
_SETTINGS = {
    ".config/gtk-3.0/settings.ini": "[Settings]\n" + "".join(f"{k}={v}\n" for k, v in _GTK.items()),
    ".gtkrc-2.0": "".join(f"{k} = {v}\n" for k, v in _GTK.items()),
    ".bashrc": "PS1='$ '\n",
    ".Xresources": "",
}
_ENVIRONMENT = {
    "HOME": HOME,
    "USER": "user",
    "SHELL": "/bin/bash",
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "XDG_RUNTIME_DIR": "/run/user",
    "GSETTINGS_BACKEND": "memory",
    "GTK_MODULES": "gail:atk-bridge",
    "NO_AT_BRIDGE": "0",
}


def must_have_desktop() -> None:
    """Raise `UsageError` naming the Debian packages to install, where a program is missing."""
    needed = PACKAGES.keys() - (_FOR_NAMESPACES if in_container() else set())
    missing = {PACKAGES[program] for program in needed if shutil.which(program) is None}
    missing |= {package for file, package in _FILES.items() if not Path(file).exists()}
    if missing:
        raise UsageError(
            f"The desktop needs programs that are not here; install them with `apt-get install "
            f"{' '.join(sorted(missing))}`."
        )


class Box:
    """The processes of one desktop. Raises `EnvironmentFault` where they do not start, or stop answering."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._user = _FIRST_USER + secrets.randbelow(_USERS) if os.geteuid() == 0 else os.geteuid()
        self._folder = Path(tempfile.mkdtemp(prefix="agentgym-desktop-"))
        self._holder: Holder | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._inside: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self.display = -1
        try:
            self._holder = Container() if in_container() else Namespaces(self._folder)
            self._write(files)
            self.display = self._start_server()
            self._start_inside()
        except BaseException:
            self.close()
            raise

    @property
    def home(self) -> Path:
        """The user's folder, from outside."""
        assert self._holder is not None
        return self._holder.home

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """Have the process inside do something, and return its answer."""
        assert self._inside is not None
        assert self._inside.stdin is not None
        try:
            self._inside.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
            self._inside.stdin.flush()
        except OSError as error:
            raise EnvironmentFault(
                f"The desktop's processes are gone ({error}); reset to begin anew."
            ) from error
        return self._answer()

    def close(self) -> None:
        """End every process and remove every file of the desktop."""
        if self._inside is not None:
            for pipe in (self._inside.stdin, self._inside.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()  # without its input, the process inside ends, and all others with it
            _end(self._inside)
        if self._server is not None:
            self._server.terminate()
            _end(self._server)
        if self._server is not None and self.display >= 0:
            _remove_lock(self.display, self._server.pid)
        self._inside = self._server = None
        if self._holder is not None:
            self._holder.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- helpers ------------------------------------------------------------------------------------

    def _write(self, files: Mapping[str, bytes]) -> None:
        settings = {name: text.encode() for name, text in _SETTINGS.items()}
        for name, content in {**settings, **files}.items():
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir(exist_ok=True)
            else:
                path.write_bytes(content)
        (self._folder / "passwd").write_text(_PASSWD)
        if os.geteuid() == 0:
            for path in (self._folder, *self._folder.rglob("*")):
                os.chown(path, self._user, self._user)

    def _as_user(self) -> list[str]:
        ids = [f"--reuid={self._user}", f"--regid={self._user}", "--clear-groups"]
        return ["setpriv", *(ids if os.geteuid() == 0 else []), "--pdeathsig", "TERM", "--"]

    def _start_server(self) -> int:
        """Start an X server on the first display that is free, and return its number."""
        reads, writes = os.pipe()
        screen = ["-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-nolisten", "tcp", "-noreset", "-displayfd"]
        quiet = subprocess.DEVNULL
        try:
            self._server = subprocess.Popen(
                [*self._as_user(), "Xvfb", *screen, str(writes)],
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                pass_fds=[writes],
                cwd="/",
            )
            os.close(writes)
            return int(_line(reads, b"", "Xvfb")[0])
        finally:
            os.close(reads)

    def _start_inside(self) -> None:
        script = Path(__file__).with_name("inside.py").read_text("utf-8")
        variables = {**_ENVIRONMENT, "DISPLAY": f":{self.display}"}
        words = ["dbus-run-session", "--", "/usr/bin/python3", "-c", script]
        assert self._holder is not None
        command = [*self._as_user(), *self._holder.command(self.display, variables, words)]
        pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
        self._inside = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=quiet, cwd="/")
        self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._inside is not None
        assert self._inside.stdout is not None
        line, self._rest = _line(self._inside.stdout.fileno(), self._rest, "The process inside the desktop")
        return json.loads(line)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that is to end; one that does not is killed."""
    try:
        process.wait(_FAREWELL_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _remove_lock(display: int, server: int) -> None:
    """Remove what an X server that was killed leaves behind; the display may be another one's by now."""
    lock = Path(f"/tmp/.X{display}-lock")
    try:
        if int(lock.read_text()) == server:
            Path(f"/tmp/.X11-unix/X{display}").unlink(missing_ok=True)
            lock.unlink()
    except (OSError, ValueError):
        return


def _line(descriptor: int, begun: bytes, who: str) -> tuple[bytes, bytes]:
    """Read a line, of which a part may be here; return it and what came after it."""
    deadline = time.monotonic() + _PATIENCE_S
    while b"\n" not in begun:
        ready, _, _ = select.select([descriptor], [], [], max(deadline - time.monotonic(), 0))
        more = os.read(descriptor, 1 << 16) if ready else b""
        if not more:
            raise EnvironmentFault(
                f"{who} {'ended' if ready else f'said nothing for {_PATIENCE_S:g} s'}; reset to begin anew."
            )
        begun += more
    line, _, rest = begun.partition(b"\n")
    return line, rest
