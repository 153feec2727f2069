"""Boxes that are Docker containers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from docker.errors import DockerException
from docker.models.containers import Container

from agentgym.core.errors import UsageError
from agentgym.core.sandbox import WORK, SandboxSpec
from agentgym.sandboxes.box import Box, fault
from agentgym.sandboxes.cgroups import Cgroup
from agentgym.sandboxes.containers import listener_in, make_container, remove_container
from agentgym.sandboxes.daemon import connect, told
from agentgym.sandboxes.execs import Exec
from agentgym.sandboxes.proxy import Proxy

_SWEEP = ("sh", "-c", "kill -KILL -1; :")
_ATTEMPTS = 100
_PAUSE_S = 0.02


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
    - An allow-list needs a daemon on this machine. It knows hosts and ports, not what is asked of them: other sites
      that an allowed host serves can be reached.
    """

    backend = "docker"

    def __init__(self, spec: SandboxSpec) -> None:
        super().__init__(spec)
        self._container: Container | None = None
        self._cgroup: Cgroup | None = None
        self._proxy: Proxy | None = None
        self._running: set[Exec] = set()
        self._gate = asyncio.Lock()

    async def open(self) -> None:
        """Make the box and start it. Raises `UsageError` where no daemon, or no such image, is to be had."""
        making = asyncio.create_task(asyncio.to_thread(make_container, self._spec))
        try:
            made = await asyncio.shield(making)
        except asyncio.CancelledError:  # a thread cannot be stopped: what it makes is removed
            with suppress(Exception):
                await asyncio.to_thread(remove_container, await making)
            raise
        self._container = made
        self._cgroup = Cgroup.found(int(made.attrs["State"]["Pid"]), str(made.id))
        if self._spec.network == "allowlist":
            try:
                self._proxy = Proxy(self._spec.allowed_hosts)
                await self._proxy.open(await asyncio.to_thread(listener_in, made))
            except BaseException:
                await self.close()
                raise

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
        if self._proxy is not None:
            await self._proxy.close()
            self._proxy = None
        if container is not None:
            await asyncio.shield(asyncio.to_thread(remove_container, container))
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


def _ignore(stream: int, data: bytes) -> None:
    del stream, data
