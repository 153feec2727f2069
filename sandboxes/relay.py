"""A network with a way in and no way out: a loopback, and what connects to a socket of this machine's.

A program of ours in a container of its own is handed the socket (SCM_RIGHTS) and carries each connection to a port of its
loopback. Other containers share this network, and nothing else: whoever serves on that port is reached, and reaches
nobody.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from docker.models.containers import Container
from docker.types import LogConfig

from agentgym.core.sandbox import MEBIBYTE
from agentgym.sandboxes.daemon import connect, labels, told
from agentgym.sandboxes.imaging import sandbox_image
from agentgym.sandboxes.listening import Door, door

RELAY = """
import asyncio, socket, sys

async def carry(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()

async def meet(reader, writer):
    writers = [writer]
    try:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
        writers.append(far_writer)
        async with asyncio.TaskGroup() as both:
            both.create_task(carry(reader, far_writer))
            both.create_task(carry(far_reader, writer))
    except* OSError:  # one side is gone, and so the other goes
        for each in writers:
            each.transport.abort()
    finally:
        for each in writers:
            each.close()

async def main():
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(sys.argv[1])
        (descriptor,) = socket.recv_fds(door, 1, 1)[1]
    server = await asyncio.start_server(meet, sock=socket.socket(fileno=descriptor))
    await server.serve_forever()

asyncio.run(main())
"""
"""The program; its arguments are the path of a door's socket and the port inside."""


def relay(listener: socket.socket, port: int) -> Container:
    """Carry what connects to `listener` to a port on the loopback of every container that shares the one returned.

    That goes on until it is removed; the listening socket may be closed here at once. Raises `SandboxFault` where it
    does not come about.
    """
    client = connect()
    with door() as way, told("making a container's network"):
        made = client.containers.run(
            sandbox_image(client),
            ["python3", "-I", "-S", "-c", RELAY, "/door/door", str(port)],
            **with_door(way, "relay", "none"),
            mem_limit=256 * MEBIBYTE,
            detach=True,
        )
        try:
            way.give(listener)
        except BaseException:
            made.remove(force=True)
            raise
        return made


def with_door(way: Door, purpose: str, network: str) -> dict[str, Any]:
    """Return the settings of a container for a program of ours alone, which finds a door at `/door/door`."""
    return {
        "network_mode": network,
        "volumes": {str(way.folder): {"bind": "/door", "mode": "ro"}},
        "user": f"{os.geteuid()}:{os.getegid()}",
        "labels": labels(purpose),
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "log_config": LogConfig(type=LogConfig.types.NONE),
    }
