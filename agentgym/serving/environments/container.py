"""An environment's server in a container: its Dockerfile is built, run, waited for, and removed in the end."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self
from urllib.request import ProxyHandler, build_opener

from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container

from agentgym.core.env import EnvSpec
from agentgym.core.errors import EnvironmentFault, UsageError
from agentgym.core.task import Split
from agentgym.environments.remote.address import TOKEN_VARIABLE
from agentgym.registry import find_spec
from agentgym.sandboxes.daemon import LABEL, connect, labels, reap, told
from agentgym.sandboxes.imaging import base_image, build
from agentgym.serving.environments.app import Limits
from agentgym.serving.environments.wheels import gather
from agentgym.serving.environments.workshop import names_a_path
from agentgym.serving.listening import Listener, checked_token

PORT = 8000
"""On which every image serves."""
READY_S = 60.0
"""Until the server in a container answers."""
_MEMORY = 4 << 30
_PIDS = 1024
_LINES = 15


class ContainerServer:
    """Serves `env` from a container, published on `host` and `port` of this machine; else like `EnvServer`.

    The image is built from the environment's Dockerfile. The container has a read-only root, no capabilities, and of
    this machine's files those that `options` name alone, to read. It can reach the network as Docker's default bridge
    lets it.

    Raises `UsageError` where there is no Docker daemon, the image does not build or does not serve, or the port cannot
    be had.
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
        self._container: Container | None = None

    async def __aenter__(self) -> Self:
        starting = asyncio.create_task(asyncio.to_thread(self._start))
        try:
            await asyncio.shield(starting)
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
        # Whether the port can be had is told in the same words as without a container.
        listener = Listener(self._host, self._port)
        listener.close()
        image = build_image(self.spec)
        with told(f"starting {self.spec.name}"):
            self._container = client.containers.create(
                image,
                self._words,
                environment={TOKEN_VARIABLE: self.token},
                ports={f"{PORT}/tcp": (self._host, listener.port)},
                volumes=self.mounts,
                labels=labels("server"),
                init=True,
                read_only=True,
                tmpfs=dict.fromkeys(("/tmp", "/home/user"), "rw,nosuid,nodev,size=256m,mode=1777"),
                cap_drop=["ALL"],
                security_opt=["no-new-privileges:true"],
                mem_limit=_MEMORY,
                memswap_limit=_MEMORY,
                pids_limit=_PIDS,
            )
        try:
            self._container.start()
        except APIError as error:
            raise UsageError(
                f"The image of {self.spec.name} does not start: {error.explanation or error}"
            ) from None
        self.url = f"ws{listener.url.removeprefix('http')}"

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
        with suppress(OSError, ValueError):
            opener = build_opener(ProxyHandler({}))
            with opener.open(f"http{self.url.removeprefix('ws')}/health", timeout=2.0) as response:
                return json.load(response) == {"status": "healthy"}
        return False

    async def _remove(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            with told("removing a container"), suppress(NotFound):
                await asyncio.shield(asyncio.to_thread(container.remove, force=True, v=True))


def build_image(spec: EnvSpec) -> str:
    """Build the image of an environment, unless the last one is of the very same files, and return its tag.

    The build's context is a folder with `wheels/`, all that a server and the environment's requirements files need, and
    `environment/`, the folder that the environment's code lies in. RUN lines have this machine's network. Raises `UsageError` where there is no Dockerfile, or it does not build.
    """
    client = connect()
    folder = Path(inspect.getfile(type(spec))).parent
    dockerfile, tag = folder / "Dockerfile", f"agentgym-{spec.name}:latest"
    if not dockerfile.is_file():
        raise UsageError(f"{spec.name} has no {dockerfile}; write one, or serve without --container.")
    base = base_image(client)
    with tempfile.TemporaryDirectory(prefix="agentgym-image-") as name:
        context = Path(name)
        gather(context / "wheels", folder)
        shutil.copytree(folder, context / "environment", ignore=shutil.ignore_patterns("__pycache__"))
        purpose = f"environment {_content_hash(context)}"
        with told(f"looking for the image {tag}"), suppress(ImageNotFound):
            if client.images.get(tag).labels.get(LABEL) == purpose:
                return tag
        build(
            client,
            context,
            tag,
            dockerfile=dockerfile,
            arguments={"BASE_IMAGE": base},
            purpose=purpose,
            network="host",
        )
    return tag


def _content_hash(folder: Path) -> str:
    """Return a hash of the names and contents of a folder's files."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
            found.update(path.read_bytes())
    return found.hexdigest()[:16]
