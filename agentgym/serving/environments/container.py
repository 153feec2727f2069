"""An environment's server in a container: its Dockerfile is built, run, waited for, and removed in the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self
from urllib.request import ProxyHandler, build_opener

from docker import DockerClient
from docker.errors import APIError
from docker.models.containers import Container

from agentgym.core.env import EnvSpec
from agentgym.core.errors import EnvironmentFault, UsageError
from agentgym.core.task import Split
from agentgym.environments.remote.address import TOKEN_VARIABLE
from agentgym.registry import find_spec
from agentgym.sandboxes.containers import listener_in, remove_container
from agentgym.sandboxes.daemon import connect, labels, reap, told
from agentgym.sandboxes.listening import proxy_variables
from agentgym.sandboxes.proxy import Proxy
from agentgym.sandboxes.relay import relay
from agentgym.serving.environments.app import Limits
from agentgym.serving.environments.images import build_image
from agentgym.serving.environments.workshop import names_a_path
from agentgym.serving.listening import Listener, checked_token

PORT = 8000
"""On which every image serves."""
READY_S = 120.0
"""Until the server in a container answers."""
CPUS = 2.0
MEMORY_BYTES = 4 << 30
_PIDS = 1024
_PERIOD_US = 100_000
_LINES = 15


class ContainerServer:
    """Serves `env` from a container, published on `host` and `port` of this machine; else like `EnvServer`.

    The image is built from the environment's Dockerfile. The container has a read-only root, no capabilities, and of
    this machine's files those that `options` name alone, to read. It may use `cpus` processors' time and `memory_bytes`.
    It has no network but a loopback, on which it is reached; `allowed_hosts` it finds by a proxy (see `SandboxSpec`).

    Raises `UsageError` where there is no Docker daemon, the image does not build or does not serve, or the port cannot
    be had, and `ConfigError` for what is no host.
    """

    def __init__(
        self,
        env: str | EnvSpec,
        *,
        split: Split | str = Split.TRAIN,
        options: Mapping[str, Any] | None = None,
        token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: Limits | None = None,
        cpus: float = CPUS,
        memory_bytes: int = MEMORY_BYTES,
        allowed_hosts: Sequence[str] = (),
    ) -> None:
        self.spec = find_spec(env) if isinstance(env, str) else env
        self.token = checked_token(token)
        self.url = ""
        """Where clients connect; empty until it runs."""
        limits = limits or Limits()
        self._host, self._port = host, port
        self.mounts: dict[str, dict[str, str]] = {}
        """What of this machine the container can read, as Docker writes it."""
        self._words = [f"--split={Split.parse(split).value}", f"--sessions={limits.sessions}"]
        self._words += [f"--idle={limits.idle_s}"]
        for name, value in (options or {}).items():
            self._words += ["-o", f"{name}={self._inside(name, value)}"]
        self._cpus, self._memory_bytes = cpus, memory_bytes
        self._allowed_hosts = tuple(allowed_hosts)
        self._proxy = Proxy(self._allowed_hosts)
        self._network: Container | None = None
        self._container: Container | None = None

    async def __aenter__(self) -> Self:
        starting = asyncio.create_task(asyncio.to_thread(self._start))
        try:
            await asyncio.shield(starting)
            if self._network is not None and self._allowed_hosts:
                await self._proxy.open(await asyncio.to_thread(listener_in, self._network))
            await self._wait()
        except BaseException:
            await asyncio.wait({starting})  # a thread cannot be stopped: what it makes is removed
            await self._remove()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._remove()

    def _inside(self, name: str, value: Any) -> str:
        """Return an option as the server in the container is told it; a path is mounted where it is."""
        if names_a_path(self.spec, name):
            if not Path(value).exists():
                raise UsageError(f"The option {name}={value}: there is no such file or folder to be mounted.")
            path = str(Path(value).resolve())
            self.mounts[path] = {"bind": path, "mode": "ro"}
            return path
        return json.dumps(value) if not isinstance(value, str) else value

    def _start(self) -> None:
        client = connect()
        reap(client)
        listener = Listener(self._host, self._port)
        try:
            image = build_image(self.spec)
            self._network = relay(listener.socket, PORT)
        finally:
            listener.close()
        with told(f"starting {self.spec.name}"):
            self._container = self._made(client, image, f"container:{self._network.id}")
        try:
            self._container.start()
        except APIError as error:
            raise UsageError(
                f"The image of {self.spec.name} does not start: {error.explanation or error}"
            ) from None
        self.url = f"ws{listener.url.removeprefix('http')}"

    def _made(self, client: DockerClient, image: str, network: str) -> Container:
        return client.containers.create(
            image,
            self._words,
            environment={TOKEN_VARIABLE: self.token, **proxy_variables(self._allowed_hosts)},
            network_mode=network,
            volumes=self.mounts,
            labels=labels("server"),
            init=True,
            read_only=True,
            tmpfs=dict.fromkeys(("/tmp", "/home/user"), "rw,nosuid,nodev,size=256m,mode=1777"),
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            cpu_period=_PERIOD_US,
            cpu_quota=int(self._cpus * _PERIOD_US),
            mem_limit=self._memory_bytes,
            memswap_limit=self._memory_bytes,
            pids_limit=_PIDS,
        )

    async def _wait(self) -> None:
        """Wait until the server answers; raises `UsageError` with its last words where it does not."""
        deadline = monotonic() + READY_S
        while not await asyncio.to_thread(self._healthy):
            container = self._container
            assert container is not None
            with told("looking after a container"):
                await asyncio.to_thread(container.reload)
                said = container.logs(tail=_LINES).decode(errors="replace").strip()
            if container.status == "exited":
                raise UsageError(f"The container of {self.spec.name} has ended before it served:\n{said}")
            if monotonic() > deadline:
                raise EnvironmentFault(
                    f"The container of {self.spec.name} does not answer at {self.url} within {READY_S:g} s:\n{said}"
                )
            await asyncio.sleep(0.2)

    def _healthy(self) -> bool:
        with suppress(OSError, ValueError, HTTPException):
            opener = build_opener(ProxyHandler({}))
            with opener.open(f"http{self.url.removeprefix('ws')}/health", timeout=2.0) as response:
                return json.load(response) == {"status": "healthy"}
        return False

    async def _remove(self) -> None:
        await self._proxy.close()
        for container in (self._container, self._network):
            if container is not None:
                await asyncio.shield(asyncio.to_thread(remove_container, container))
        self._container = self._network = None
