"""Boxes of processes under bubblewrap: no daemon, no image, a program starts in some ten milliseconds."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen, run

from agentgym.core.errors import SandboxFault, UsageError
from agentgym.core.sandbox import SandboxSpec
from agentgym.sandboxes.box import Box, fault
from agentgym.sandboxes.cgroups import Cgroup
from agentgym.sandboxes.listening import BINDER, door
from agentgym.sandboxes.namespaces import enter, hold, listen, variables
from agentgym.sandboxes.proxy import Proxy
from agentgym.sandboxes.running import finish
from agentgym.sandboxes.spawning import Process

_FIRST_USER, _USERS = 0x7000_0000, 0x0F00_0000
"""User ids that no distribution gives out: each box of root's gets one at random, so that nothing belongs to it."""
_PROGRAMS = {
    "bwrap": "bubblewrap",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "prlimit": "util-linux",
    "mount": "mount",
}
_NEEDED = ("prlimit", "tar", "find", "cat")
_LACKING = f"for p in {' '.join(_NEEDED)}; do command -v $p >/dev/null || echo $p; done"
_START_S = 60.0


class ProcessSandbox(Box):
    """A `Sandbox` of namespaces, a filter for system calls, and limits; needs Linux and bubblewrap.

    Programs see a root file system, read-only: the folder `spec.image`, or the host's `/usr` and the Python that runs
    agentgym. They have no capabilities, cannot regain any, and run as a user that owns nothing on the host: where
    agentgym runs as root one of its own, otherwise the user of agentgym, whose files they do not see.

    What it cannot promise:

    - Memory and CPUs for the box as a whole, and the pids of all its programs together, are limited by control groups;
      where agentgym may make none (it is not root, as a rule) memory is limited for each process (its address space),
      pids for each program that is run, and `cpus` is not kept. `cpu_s` is counted for each process.
    - Without an image, whoever is inside can read the host's `/usr` and that Python, with what is installed there.
    - The kernel is the host's: a hole in it is a hole in the box, and its version, the machine's load and its number
      of processors are seen inside. Timing of caches and memory is not hidden.
    - With an allow-list the programs of a box share one loopback. The list knows hosts and ports, not what is asked
      of them: other sites that an allowed host serves can be reached.
    - A writable root is refused; use Docker for it.
    """

    backend = "process"
    _probed: set[str] = set()  # noqa: RUF012 - roots that were seen to work, for all boxes

    def __init__(self, spec: SandboxSpec) -> None:
        super().__init__(replace(spec, image=os.path.realpath(spec.image)) if spec.image else spec)
        self._holder: Popen[bytes] | None = None
        self._cgroup: Cgroup | None = None
        self._proxy: Proxy | None = None
        self._host_user = _FIRST_USER + secrets.randbelow(_USERS) if os.geteuid() == 0 else 0

    async def open(self) -> None:
        """Make the box. Raises `UsageError` for what is missing on this machine, and what to do about it."""
        _must_be_possible(self._spec)
        self._cgroup = Cgroup.make(self._spec)
        try:
            self._holder = await asyncio.to_thread(_held, hold(self._spec, self._host_user))
            if self._spec.network == "allowlist":
                self._proxy = Proxy(self._spec.allowed_hosts)
                await self._proxy.open(
                    await asyncio.to_thread(_listener_in, self._holder.pid, self._host_user)
                )
            if self._spec.image not in self._probed:
                await self._probe()
        except BaseException:
            await self.close()
            raise

    async def start(self, argv: Sequence[str]) -> Process:
        """Start a program."""
        if self._holder is None:
            raise UsageError("This sandbox is closed, or not open yet; use it inside `async with`.")
        if self._holder.poll() is not None:
            raise fault(self.backend, "the process that holds its files has ended")
        holder, cgroup = self._holder.pid, self._cgroup

        def command(descriptors: tuple[int, int, int]) -> list[str]:
            return enter(self._spec, holder, self._host_user, cgroup, descriptors, argv)

        return Process(command, variables(self._spec), self._spec.cpu_s, cgroup)

    async def close(self) -> None:
        """End everything in the box and remove it."""
        await self._close_shells()
        if self._proxy is not None:
            await self._proxy.close()
            self._proxy = None
        if self._holder is not None:
            _end(self._holder)
            self._holder = None
        if self._cgroup is not None:
            await asyncio.to_thread(self._cgroup.remove)
            self._cgroup = None

    async def _probe(self) -> None:
        """See whether a program runs at all, and whether the root has what the box needs."""
        try:
            done = await finish(await self.start(["sh", "-c", _LACKING]), b"", 1 << 16, _START_S)
        except SandboxFault as error:
            raise UsageError(f"{error}. {_advice(str(error), self._spec)}") from None
        told = done.stderr.decode("utf-8", "replace").strip()
        if done.ended.exit_code != 0:
            raise UsageError(f"No program runs in a process sandbox: {told}. {_advice(told, self._spec)}")
        if lacking := done.stdout.decode().split():
            raise UsageError(
                f"The root {self._spec.image or '/'} lacks {', '.join(lacking)}; install them there (Debian: "
                "coreutils, findutils, tar, util-linux)."
            )
        self._probed.add(self._spec.image)


def _must_be_possible(spec: SandboxSpec) -> None:
    if sys.platform != "linux":
        raise UsageError(f"The process sandbox needs Linux, not {sys.platform}; use backend='docker'.")
    if spec.writable_root:
        raise UsageError("The process sandbox's root is read-only; use backend='docker' for writable_root.")
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        packages = " ".join(sorted({_PROGRAMS[program] for program in missing}))
        raise UsageError(
            f"The process sandbox needs {', '.join(missing)}; install them (Debian: apt install {packages})."
        )
    if spec.image and not Path(spec.image, "usr").is_dir():
        raise UsageError(
            f"{spec.image!r} is no root file system (it has no /usr); a process sandbox's image is a folder, such as "
            "debootstrap makes. Leave it empty for the host's own programs."
        )


def _held(command: Sequence[str]) -> Popen[bytes]:
    """Start a holder and wait until the box's files are mounted."""
    holder = Popen(
        command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        bufsize=0,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        cwd="/",
        start_new_session=True,
    )
    assert holder.stdout is not None
    assert holder.stderr is not None
    if holder.stdout.readline() == b"ready\n":
        return holder
    told = holder.stderr.read().decode("utf-8", "replace").strip()
    _end(holder)
    raise UsageError(f"No namespace for a process sandbox: {told}. {_advice(told, None)}")


def _listener_in(holder: int, host_user: int) -> socket.socket:
    """Return a socket that listens in a holder's network. Raises `SandboxFault` where that does not come about."""
    with door() as way:
        words = [sys.executable, "-I", "-S", "-c", BINDER, str(way.path)]
        done = run(listen(holder, host_user, words), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise fault("process", f"no proxy can listen in it: {done.stderr[-500:]}")
        return way.receive()


def _end(holder: Popen[bytes]) -> None:
    for pipe in (holder.stdin, holder.stdout, holder.stderr):
        assert pipe is not None
        pipe.close()
    holder.kill()
    holder.wait()


def _advice(told: str, spec: SandboxSpec | None) -> str:
    """Return what to do about a box that does not come up."""
    if spec is not None and spec.image and "No such file" in told:
        return f"The root {spec.image} needs sh and prlimit (Debian: dash, util-linux)."
    if spec is not None and spec.image and ("Permission denied" in told or "mkdir" in told):
        return f"Everybody must be able to read the root {spec.image}, and it needs folders proc, dev, tmp and work."
    switches = {
        "/proc/sys/user/max_user_namespaces": ("0", "sysctl user.max_user_namespaces=15000"),
        "/proc/sys/kernel/unprivileged_userns_clone": ("0", "sysctl kernel.unprivileged_userns_clone=1"),
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
            "1",
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    }
    for path, (off, remedy) in switches.items():
        with suppress(OSError):
            if Path(path).read_text().strip() == off:
                return f"User namespaces are switched off here ({path} is {off}); as root: {remedy}."
    return (
        "It needs user namespaces, a /proc that nothing is mounted over, and leave to mount: in a container, that is "
        "`docker run --privileged`; otherwise use backend='docker'."
    )
