"""A socket that listens on a box's own loopback, and is held outside.

A short program is started in the box's network namespace: it makes the socket and hands it over (SCM_RIGHTS). From then on
nothing of ours is in the box, and what is in the box cannot tell the socket from any other server's.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agentgym.core.errors import SandboxFault
from agentgym.core.hosts import parse_host

PORT = 3128
"""Where the proxy is found inside."""
_PATIENCE_S = 60.0
_HOSTS_OF_THE_BOX = ("localhost", "127.0.0.1", "::1")
BINDER = f"""
import fcntl, socket, struct, sys
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
flags = struct.unpack_from("16sH", fcntl.ioctl(listener, 0x8913, struct.pack("16sH14x", b"lo", 0)))[1]
if not flags & 1:
    fcntl.ioctl(listener, 0x8914, struct.pack("16sH14x", b"lo", flags | 1))
listener.bind(("127.0.0.1", {PORT}))
listener.listen(64)
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
    door.connect(sys.argv[1])
    socket.send_fds(door, [b"x"], [listener.fileno()])
"""
"""The program; its argument is the path of a `Door`'s socket. It sets loopback up where that is not done yet."""


class Door:
    """Where a socket is handed over, by a program such as `BINDER` or to one."""

    def __init__(self, folder: Path, server: socket.socket) -> None:
        self.folder = folder
        self.path = folder / "door"
        self._server = server

    def receive(self) -> socket.socket:
        """Return the socket that was handed over. Raises `SandboxFault` where none is."""
        try:
            with self._visitor() as peer:
                _, descriptors, _, _ = socket.recv_fds(peer, 1, 1)
        except TimeoutError:
            descriptors = []
        if not descriptors:
            raise SandboxFault("Nothing listens in a sandbox's network, so its allow-list cannot be kept.")
        listener = socket.socket(fileno=descriptors[0])
        listener.setblocking(False)
        return listener

    def give(self, listener: socket.socket) -> None:
        """Hand a socket over. Raises `SandboxFault` where nobody comes for it."""
        try:
            with self._visitor() as peer:
                socket.send_fds(peer, [b"x"], [listener.fileno()])
        except TimeoutError:
            raise SandboxFault("Nobody came for a socket, so there is no way into a container.") from None

    def _visitor(self) -> socket.socket:
        peer, _ = self._server.accept()
        peer.settimeout(_PATIENCE_S)
        return peer


@contextmanager
def door() -> Generator[Door]:
    """Make a door in a folder of this user's own, and remove both."""
    with (
        tempfile.TemporaryDirectory(prefix="agentgym-door-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server,
    ):
        made = Door(Path(folder), server)
        server.bind(str(made.path))
        server.listen(1)
        server.settimeout(_PATIENCE_S)
        yield made


def proxy_variables(allowed_hosts: Sequence[str]) -> dict[str, str]:
    """Return the environment variables by which programs find the proxy; none where no host is allowed."""
    if not allowed_hosts:
        return {}
    address = f"http://127.0.0.1:{PORT}"
    allowed = {parse_host(text)[0] for text in allowed_hosts}
    own = ",".join(host for host in _HOSTS_OF_THE_BOX if host not in allowed)
    named = {"http_proxy": address, "https_proxy": address, "no_proxy": own}
    return named | {name.upper(): value for name, value in named.items()}
