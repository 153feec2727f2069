"""The containers that boxes are: how they are made, limited, given a way out, and removed."""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import cache
from typing import Any

from docker import DockerClient
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Ulimit

from agentgym.core.errors import UsageError
from agentgym.core.sandbox import MEBIBYTE, WORK, SandboxSpec
from agentgym.sandboxes.daemon import connect, labels, reap, told
from agentgym.sandboxes.imaging import sandbox_image
from agentgym.sandboxes.listening import BINDER, door, proxy_variables
from agentgym.sandboxes.relay import with_door

_FIRST = """
command -v perl >/dev/null && exec perl -e '$SIG{CHLD} = "IGNORE"; $SIG{USR1} = sub { kill "KILL", -1 }; sleep while 1'
trap 'kill -KILL -1' USR1
while :; do read -r _; done
"""
"""The container's first process, which programs inside cannot kill. It kills all others when told to from outside,
which takes no new process, so that a box that has used up its pids can still be cleared; with perl, which Debian
always has, it also frees the pids of processes whose parents are gone."""
_OWN_PROCESSES = 3
_BYTES_PER_FILE = 8192


@cache
def _cleared(client: DockerClient) -> None:
    """Remove what dead processes left, once in this one."""
    with told("removing what dead runs left"):
        reap(client)


def make_container(spec: SandboxSpec) -> Container:
    """Make and start a box. Raises `UsageError` where no daemon, or no such image, is to be had."""
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
        remove_container(container)
        cause = error.__cause__
        if isinstance(cause, APIError) and "executable file not found" in str(cause.explanation):
            raise UsageError(
                f"The image {image!r} has no `sh`; a docker sandbox needs sh, tar, find and cat in it."
            ) from None
        raise
    return container


def listener_in(container: Container) -> socket.socket:
    """Return a socket that listens in a container's network, made by another container that shares it and is gone.

    Raises `SandboxFault` where that does not come about.
    """
    client = connect()
    with door() as way, told("giving a container its proxy"):
        client.containers.run(
            sandbox_image(client),
            ["python3", "-I", "-S", "-c", BINDER, "/door/door"],
            **with_door(way, "proxy", f"container:{container.id}"),
            remove=True,
        )
        return way.receive()


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
        "environment": {
            "HOME": WORK,
            "LANG": "C.UTF-8",
            **proxy_variables(spec.allowed_hosts),
            **spec.environment,
        },
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


def remove_container(container: Container) -> None:
    """End and remove a container; one that is gone already is fine."""
    with told("removing a container"), suppress(NotFound):
        container.remove(force=True, v=True)
