"""The sandbox contract: where code that nobody has read may run.

A box is a file system of its own (`/work` and `/tmp` are writable), without the host's files, environment, processes
or network, and with limits on everything that can run out. Whatever the code inside does is a `Result`: data, never an
exception. Exceptions say that the box itself could not be had (`SandboxFault`) or was asked for wrongly (`UsageError`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

from agentgym.core import strict_json
from agentgym.core.errors import ConfigError
from agentgym.core.hosts import parse_host

WORK = "/work"
"""Where programs start, and what relative paths of files are relative to."""
MEBIBYTE = 1 << 20


class KilledBy(StrEnum):
    """Which limit ended a program before its time."""

    WALL_TIME = "wall_time"
    """It was not done when its time was over."""
    CPU_TIME = "cpu_time"
    """One of its processes computed for too long."""
    MEMORY = "memory"
    """The box had no memory left."""
    OUTPUT = "output"
    """It wrote more to standard output or standard error than is kept."""


class Usage(NamedTuple):
    """What a program used."""

    wall_s: float
    """Seconds from its start to its end."""
    cpu_s: float | None = None
    """Seconds that the box computed meanwhile; None where the backend cannot tell."""
    peak_memory_bytes: int | None = None
    """The most that the box has held up to its end, files included; None where the backend cannot tell."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a program."""

    exit_code: int
    """As a shell reports it: 128 + N where signal N ended it."""
    stdout: bytes
    stderr: bytes
    usage: Usage
    killed_by: KilledBy | None = None
    """The limit that ended it, or None where it ended by itself."""
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """Those that were to be fetched and were there, by the path that was asked for."""

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, with exit code 0."""
        return self.exit_code == 0 and self.killed_by is None

    @property
    def text(self) -> str:
        """Standard output as text; what is no UTF-8 is replaced."""
        return self.stdout.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the JSON value that standard output holds.

        Raises `ValueError`, also for NaN and infinities, which are no JSON.
        """
        return strict_json.loads(self.stdout)


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What a box is made of, and what may be used in it. Raises `ConfigError` for values that make no sense."""

    image: str = ""
    """docker: the name of an image. process: the path of a folder that holds a root file system, shown read-only.
    Empty: the backend's own, which has a shell, the usual tools, and Python 3."""
    cpus: float = 1.0
    """Cores' worth of computing."""
    memory_bytes: int = 512 * MEBIBYTE
    """For all processes together, and for the files of the box, which lie in memory."""
    pids: int = 64
    """Processes and threads at one time."""
    disk_bytes: int = 64 * MEBIBYTE
    """For all files of the box together."""
    output_bytes: int = MEBIBYTE
    """Kept of standard output, and of standard error; a program that writes more is killed."""
    wall_s: float = 30.0
    """Seconds that a program may take where `run` is not told otherwise."""
    cpu_s: int = 30
    """Seconds that each process may compute."""
    network: Literal["none", "allowlist"] = "none"
    """`none`: no network but the box's own loopback. `allowlist`: besides it a proxy for HTTP and HTTPS, which the
    variables `http_proxy` and `https_proxy` name, and which lets through to `allowed_hosts` alone."""
    allowed_hosts: tuple[str, ...] = ()
    """For `allowlist`: such as `pypi.org` (ports 80 and 443), `localhost:8000` or `192.0.2.1:80`."""
    writable_root: bool = False
    """Whether all of the image can be written to, besides `/work` and `/tmp`; then `disk_bytes` holds for these alone."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Environment variables; nothing else is set but PATH, HOME and LANG."""
    user: int = 65534
    """User and group id of the programs; never 0."""

    def __post_init__(self) -> None:
        positive = {
            name: getattr(self, name)
            for name in ("cpus", "memory_bytes", "pids", "disk_bytes", "output_bytes", "wall_s", "cpu_s")
        }
        for name, value in positive.items():
            if not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"A sandbox's {name} must be a positive number, got {value!r}.")
        if not 0 < self.user < 2**31:
            raise ConfigError(
                f"A sandbox's user must be an id from 1 to {2**31 - 1}, never root, got {self.user!r}."
            )
        if self.network not in ("none", "allowlist"):
            raise ConfigError(f"A sandbox's network is 'none' or 'allowlist', got {self.network!r}.")
        if (self.network == "allowlist") != bool(self.allowed_hosts):
            raise ConfigError(
                "allowed_hosts belong to network='allowlist', and it needs at least one of them; got "
                f"network={self.network!r}, allowed_hosts={self.allowed_hosts!r}."
            )
        for host in self.allowed_hosts:
            parse_host(host)
        for name, value in self.environment.items():
            if not name or "=" in name or not can_be_told(name + value):
                raise ConfigError(
                    f"{name!r} cannot be an environment variable of a sandbox: its name may hold no '=', and "
                    "neither name nor value a NUL or half a character."
                )


def can_be_told(word: str) -> bool:
    """Whether the system takes a text as a name or an argument: it holds no NUL and no half of a character."""
    try:
        return b"\0" not in word.encode()
    except UnicodeEncodeError:
        return False


class Shell(Protocol):
    """A shell that lasts: its directory, variables and background processes stay from command to command."""

    @property
    def alive(self) -> bool:
        """Whether it takes another command. It ends with `exit`, and with a command that was killed or cancelled."""
        ...

    async def run(self, command: str, *, timeout_s: float | None = None) -> Result:
        """Run a command (any number of lines of sh) and return what it wrote, both streams as `stdout`.

        Commands have no standard input. `timeout_s` defaults to the box's `wall_s`; a command that takes longer ends
        the shell. Raises `StepError` where the shell has ended.
        """
        ...

    async def close(self) -> None:
        """End the shell with all that runs in it."""
        ...


class Sandbox(Protocol):
    """An open box. Programs in it may run at the same time; they share files and limits."""

    @property
    def spec(self) -> SandboxSpec:
        """What it was made of."""
        ...

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        files: Mapping[str, bytes] | None = None,
        fetch: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> Result:
        """Run a program to its end; nothing that it started outlives it.

        `files` are written first, and `fetch` read afterwards, as by `upload` and `download`; a path in `fetch` that
        is no file is left out. `timeout_s` defaults to `spec.wall_s`. A program that cannot be found or started
        ends with exit code 126 or 127. Raises `UsageError` for wrong arguments, `SandboxFault` where the box fails.
        """
        ...

    async def shell(self) -> Shell:
        """Start a shell that lasts until it or the box is closed."""
        ...

    async def upload(self, files: Mapping[str, bytes]) -> None:
        """Write files; paths are relative to `/work`, folders are made.

        Raises `UsageError` for paths that leave `/work`, and where there is no room.
        """
        ...

    async def download(self, path: str) -> bytes:
        """Return a file's contents.

        Links are followed inside the box, never outside. Raises `UsageError` where there is no such file, and for
        one larger than `disk_bytes`.
        """
        ...

    async def snapshot(self) -> bytes:
        """Return all that lies in `/work` as a tar archive, for `restore` here or in another box.

        Running programs and shells are not part of it.
        """
        ...

    async def restore(self, snapshot: bytes) -> None:
        """Make `/work` what it was when the snapshot was taken."""
        ...

    async def fork(self) -> Sandbox:
        """Open another box of the same spec with the same files; whoever asks for it closes it."""
        ...

    async def close(self) -> None:
        """End everything in the box and remove it. Closing twice does nothing."""
        ...
