"""The Docker daemon: how it is reached, what is marked as whose, and what is cleared away."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import cast

import docker
from docker import DockerClient
from docker.errors import APIError, DockerException, NotFound

from agentgym.core.errors import SandboxFault, UsageError

LABEL = "agentgym"
"""On each container and image that is made; its value says what it is for."""
OWNER = "agentgym.owner"
"""On each container: the process that made it."""
_DEFAULT_HOST = "unix:///var/run/docker.sock"


@cache
def connect() -> DockerClient:
    """Return a client of the daemon that `DOCKER_HOST` names, by default the one on this machine.

    Raises `UsageError` where there is none, with what to do.
    """
    host = os.environ.get("DOCKER_HOST", _DEFAULT_HOST)
    if not host.startswith("unix://"):
        raise UsageError(
            f"Docker is used over a UNIX socket here, not {host!r}; set DOCKER_HOST=unix://PATH."
        )
    path = Path(host.removeprefix("unix://"))
    try:
        # First by ourselves: the SDK leaves its socket open where nobody answers.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
        client = docker.DockerClient(base_url=host, version="auto", max_pool_size=64)
        client.ping()
    except (DockerException, OSError) as error:
        if not path.exists():
            told = f"there is no {path}; start it (`systemctl start docker`, or `dockerd &` as root)"
        elif not os.access(path, os.W_OK):
            told = f"this user may not use {path}; add it to the group `docker`"
        else:
            told = f"{path} does not answer ({error}); is dockerd running?"
        raise UsageError(
            f"No Docker daemon: {told}. Without one use backend='process', which needs bubblewrap alone."
        ) from None
    return client


def socket_path() -> str:
    """Return the path of the daemon's socket."""
    return os.environ.get("DOCKER_HOST", _DEFAULT_HOST).removeprefix("unix://")


@contextmanager
def told(doing: str) -> Generator[None]:
    """Turn what the daemon answers, or its silence, into a `SandboxFault` that says what was being done."""
    try:
        yield
    except APIError as error:
        raise SandboxFault(f"Docker failed at {doing}: {error.explanation or error}") from error
    except (DockerException, OSError) as error:
        raise SandboxFault(f"Docker failed at {doing}: {error}") from error


def labels(purpose: str) -> dict[str, str]:
    """Return the labels of a container that this process makes."""
    return {LABEL: purpose, OWNER: owner(os.getpid())}


def owner(pid: int) -> str:
    """Name a process so that no later one is taken for it: machine's start, namespace, id, and its own start.

    Raises `FileNotFoundError` where there is no such process.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = Path("/proc/self/ns/pid").readlink()
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{boot} {namespace} {pid} {started}"


def reap(client: DockerClient) -> list[str]:
    """Remove the containers of processes that are gone, and return their ids.

    Only of this machine since its last start, and of this namespace of processes: of others nobody can tell.
    """
    mine = owner(os.getpid()).split()[:2]
    removed: list[str] = []
    for container in client.containers.list(all=True, filters={"label": OWNER}, ignore_removed=True):
        name = cast("dict[str, str]", container.labels)[OWNER]
        boot, namespace, pid, _ = name.split()
        if [boot, namespace] != mine or _lives(int(pid), name):
            continue
        with suppress(NotFound, APIError):  # another process is at it
            container.remove(force=True, v=True)
            removed.append(str(container.id))
    return removed


def _lives(pid: int, name: str) -> bool:
    try:
        return owner(pid) == name
    except FileNotFoundError:
        return False
