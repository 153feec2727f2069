"""Boxes that are Docker containers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from docker import DockerClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Ulimit

from agentgym.core.errors import UsageError
from agentgym.core.sandbox import MEBIBYTE, WORK, SandboxSpec
from agentgym.sandboxes.box import Box, fault
from agentgym.sandboxes.cgroups import Cgroup
from agentgym.sandboxes.daemon import connect, labels, reap, told
from agentgym.sandboxes.execs import Exec
from agentgym.sandboxes.imaging import sandbox_image

_FIRST = """
command -v perl >/dev/null && exec perl -e '$SIG{CHLD} = "IGNORE"; $SIG{USR1} = sub { kill "KILL", -1 }; sleep while 1'
trap 'kill -KILL -1' USR1
while :; do read -r _; done
"""
"""The container's first process, which programs inside cannot kill. It kills all others when told to from outside,
which takes no new process, so that a box that has used up its pids can still be cleared; with perl, which Debian
always has, it also frees the pids of processes whose parents are gone."""
_SWEEP = ("sh", "-c", "kill -KILL -1; :")
_OWN_PROCESSES = 3
_ATTEMPTS = 100
_PAUSE_S = 0.02
_BYTES_PER_FILE = 8192


class DockerSandbox(Box):
    """A `Sandbox` in a container: no network, no capabilities, nothing gained by setuid, Docker's own filter for
    system calls, a read-only root, limits by control groups, and no user of the host's.

    What it cannot promise:

    - `/work`, `/tmp` and `/dev/shm` may each hold `disk_bytes`; with `writable_root` the rest is not limited.
    - A program that has to be killed takes all other programs and shells of its box with it; theirs is a
      `SandboxFault`. Processes that a program leaves behind are killed when no other program or shell runs.
    - A program that catches SIGXCPU and is killed a second later is not told from one that killed itself.
    - `usage` and `KilledBy.MEMORY` need a daemon on this machine whose control groups can be read.
    - The kernel is the host's, and whoever may use the daemon is root on it: so is whoever breaks out through it.
      Network `allowlist` is refused.
    """

    backend = "docker"

    def __init__(self, spec: SandboxSpec) -> None:
        super().__init__(spec)
        self._container: Container | None = None
        self._cgroup: Cgroup | None = None
        self._running: set[Exec] = set()
        self._gate = asyncio.Lock()

    async def open(self) -> None:
        """Make the box and start it. Raises `UsageError` where no daemon, or no such image, is to be had."""
        if self._spec.network != "none":
            raise UsageError(
                "The docker sandbox has no network but its own loopback: it cannot keep an allow-list. Use "
                "network='none', and let the host fetch what a program needs."
            )
        making = asyncio.create_task(asyncio.to_thread(_made, self._spec))
        try:
            made = await asyncio.shield(making)
        except asyncio.CancelledError:  # a thread cannot be stopped: what it makes is removed
            with suppress(Exception):
                await asyncio.to_thread(_removed, await making)
            raise
        self._container = made
        self._cgroup = Cgroup.found(int(made.attrs["State"]["Pid"]), str(made.id))

    async def start(self, argv: Sequence[str]) -> Exec:
        """Start a program."""
        starting = asyncio.create_task(self._started(argv))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:  # the daemon may have begun with it, and then it runs
            with suppress(Exception):
                program = await starting
                await program.kill()
                await program.wait()
            raise

    async def close(self) -> None:
        """End everything in the box and remove it."""
        container, self._container = self._container, None
        if container is not None:
            await asyncio.shield(asyncio.to_thread(_removed, container))
        await self._close_shells()

    async def _started(self, argv: Sequence[str]) -> Exec:
        async with self._gate:
            program = await self._exec(argv)
            self._running.add(program)
        return program

    async def _exec(self, argv: Sequence[str]) -> Exec:
        if self._container is None:
            raise UsageError("This sandbox is closed, or not open yet; use it inside `async with`.")
        client, container = connect(), str(self._container.id)

        def create() -> str:
            with told("preparing a program"):
                words = ["sh", "-c", 'exec "$@"', "sh", *argv]
                return str(client.api.exec_create(container, words, stdin=True, workdir=WORK)["Id"])

        id = await asyncio.to_thread(create)
        return await Exec.start(client, id, self._cgroup, self._sweep_for, self._over)

    async def _over(self, program: Exec) -> None:
        """Clear away what a program that has ended left behind, once nothing else runs."""
        async with self._gate:
            self._running.discard(program)
            if not self._running and self._container is not None and await self._littered():
                await self._swept()

    async def _sweep_for(self, program: Exec) -> None:
        async with self._gate:
            for other in self._running - {program}:
                other.swept_by_another = True
            self._running.clear()
            if self._container is not None:
                await self._swept()

    async def _littered(self) -> bool:
        """Whether there are processes besides the first."""
        if self._cgroup is None:
            return True
        for _ in range(5):  # the program itself is there for a moment after its end
            if self._cgroup.processes() <= 1:
                return False
            await asyncio.sleep(0.002)
        return True

    async def _swept(self) -> None:
        """Kill all processes but the first."""
        for _ in range(_ATTEMPTS):
            with suppress(DockerException, OSError):
                program = await self._exec(_SWEEP)
                await program.pump(_ignore)
                if await program.exit_code() == 0:
                    return
            await asyncio.to_thread(self._signal)
            await asyncio.sleep(_PAUSE_S)
        raise fault("docker", "its processes could not be killed")

    def _signal(self) -> None:
        with told("killing what runs in a container"):
            if self._container is not None:
                self._container.kill(signal="SIGUSR1")


@cache
def _cleared(client: DockerClient) -> None:
    """Remove what dead processes left, once in this one."""
    with told("removing what dead runs left"):
        reap(client)


def _made(spec: SandboxSpec) -> Container:
    client = connect()
    _cleared(client)
    image = spec.image or sandbox_image(client)
    with told("making a container"):
        try:
            container = client.containers.create(image, **_settings(spec))
        except ImageNotFound:
            raise UsageError(
                f"Docker has no image {image!r}; pull it, or build it: docker build --tag {image} FOLDER."
            ) from None
    try:
        with told("starting a container"):
            container.start()
            container.reload()
    except BaseException as error:
        _removed(container)
        cause = error.__cause__
        if isinstance(cause, APIError) and "executable file not found" in str(cause.explanation):
            raise UsageError(
                f"The image {image!r} has no `sh`; a docker sandbox needs sh, tar, find and cat in it."
            ) from None
        raise
    return container


def _settings(spec: SandboxSpec) -> dict[str, Any]:
    files = max(1024, spec.disk_bytes // _BYTES_PER_FILE)
    largest = spec.disk_bytes + MEBIBYTE  # a full disk is met first
    mount = f"rw,nosuid,nodev,exec,size={spec.disk_bytes},nr_inodes={files}"
    return {
        "entrypoint": ["sh", "-c", _FIRST],
        "command": [],
        "stdin_open": True,
        "user": f"{spec.user}:{spec.user}",
        "working_dir": WORK,
        "hostname": "box",
        "environment": {"HOME": WORK, "LANG": "C.UTF-8", **spec.environment},
        "labels": labels("box"),
        "network_mode": "none",
        "ipc_mode": "none",  # Docker's own /dev/shm would have no limit of files
        "read_only": not spec.writable_root,
        "tmpfs": {
            WORK: f"{mount},mode=755,uid={spec.user},gid={spec.user}",
            **dict.fromkeys(("/tmp", "/dev/shm"), f"{mount},mode=1777"),
        },
        "mem_limit": spec.memory_bytes,
        "memswap_limit": spec.memory_bytes,
        "nano_cpus": max(1, int(spec.cpus * 1e9)),
        "pids_limit": spec.pids + _OWN_PROCESSES,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "ulimits": [
            Ulimit(name="core", soft=0, hard=0),
            Ulimit(name="cpu", soft=spec.cpu_s, hard=spec.cpu_s + 1),
            Ulimit(name="fsize", soft=largest, hard=largest),
            Ulimit(name="memlock", soft=65536, hard=65536),
            Ulimit(name="msgqueue", soft=0, hard=0),
            Ulimit(name="nofile", soft=1024, hard=1024),
        ],
        "log_config": LogConfig(type=LogConfig.types.NONE),
    }


def _removed(container: Container) -> None:
    with told("removing a container"), suppress(NotFound):
        container.remove(force=True, v=True)


def _ignore(stream: int, data: bytes) -> None:
    del stream, data
