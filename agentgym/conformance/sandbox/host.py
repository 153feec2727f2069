"""The host under attack: baits that an attack would have to reach, and whether they are as they were."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_VICTIM = "import sys, time; time.sleep(3600)"
_SHM_CREATE, _SHM_REMOVE = 0o1600, 0
_SHM_BYTES = 64
_NO_SECRET = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Host:
    """Baits on this machine, for as long as attacks are tried.

    A file and a folder that everybody may use, an open descriptor, a process, an environment variable, a segment of
    shared memory, and servers on loopback, UDP and UNIX sockets, each of which gives away the same secret; besides
    a server that gives none away (`allowed`).
    """

    def __init__(self) -> None:
        self.token = f"agentgym-bait-{secrets.token_hex(16)}"
        self.folder = Path(tempfile.mkdtemp(prefix="agentgym-bait-"))
        self.folder.chmod(0o777)
        self.secret = self.folder / "secret"
        self.secret.write_text(self.token)
        self.secret.chmod(0o666)
        os.environ["AGENTGYM_BAIT"] = self.token
        self._servers: list[socket.socket] = []
        self._descriptor = os.open(self.secret, os.O_RDONLY)
        os.set_inheritable(self._descriptor, True)
        self._segment = _segment(self.token)
        self.victim = self._started()
        self.known: dict[str, Any] = {
            "secret": str(self.secret),
            "folder": str(self.folder),
            "descriptor": self._descriptor,
            "victim": self.victim.pid,
            "marker": self.token[::-1],
            "segment": self._segment,
            "allowed": self._serve(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0), _NO_SECRET)[1],
            "tcp": self._serve(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))[1],
            "udp": self._serve(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))[1],
            "unix": self._serve(socket.AF_UNIX, socket.SOCK_STREAM, str(self.folder / "socket")),
            "abstract": self._serve(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self.token[:30]}")[1:].decode(),
        }
        (self.folder / "socket").chmod(0o777)
        self._before = self._state()

    def __enter__(self) -> Self:
        """Return it; the baits are out."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the baits in."""
        self.victim.kill()
        self.victim.wait()
        for server in self._servers:
            with suppress(OSError):  # it wakes the thread that waits, and complains where nobody is connected
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        os.close(self._descriptor)
        _libc().shmctl(self._segment_id(), _SHM_REMOVE, None)
        os.environ.pop("AGENTGYM_BAIT", None)
        shutil.rmtree(self.folder, ignore_errors=True)

    def holds(self, text: str | bytes) -> bool:
        """Whether a text gives the secret away."""
        return self.token.encode() in (text.encode() if isinstance(text, str) else text)

    def marked(self) -> list[int]:
        """Return the processes on this machine that carry the attacks' marker on their command line."""
        marker = str(self.known["marker"]).encode()
        found: list[int] = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if marker in file.read_bytes():
                    found.append(int(file.parent.name))
            except OSError:
                continue
        return found

    def changes(self) -> list[str]:
        """Return what is no longer as it was, put the baits out again, and end what attacks have left behind."""
        after = self._state()
        for pid in self.marked():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        changed = [name for name, value in self._before.items() if after[name] != value]
        if self.victim.poll() is not None:
            self.victim = self._started()
            self.known["victim"] = self.victim.pid
        for path in self.folder.iterdir():
            if path.name not in ("secret", "socket"):
                path.unlink()
        self.secret.write_text(self.token)
        return changed

    def _state(self) -> dict[str, Any]:
        return {
            "the bait's contents": self.secret.read_text() if self.secret.exists() else None,
            "the bait's folder": sorted(path.name for path in self.folder.iterdir()),
            "a process outside": self.victim.poll(),
            "the host's name": socket.gethostname(),
            "the kernel's settings": Path("/proc/sys/kernel/core_pattern").read_text(),
        }

    def _started(self) -> subprocess.Popen[bytes]:
        environment = {"AGENTGYM_BAIT": self.token}
        return subprocess.Popen([sys.executable, "-c", _VICTIM, self.token], env=environment)

    def _serve(self, family: int, kind: int, address: Any, text: str = "") -> Any:
        server = socket.socket(family, kind)
        server.bind(address)
        if kind == socket.SOCK_STREAM:
            server.listen()
        self._servers.append(server)
        threading.Thread(
            target=_answer, args=(server, kind, (text or self.token).encode()), daemon=True
        ).start()
        return server.getsockname()

    def _segment_id(self) -> int:
        return int(_libc().shmget(self._segment, _SHM_BYTES, 0))


def _answer(server: socket.socket, kind: int, text: bytes) -> None:
    while True:
        try:
            if kind == socket.SOCK_DGRAM:
                _, sender = server.recvfrom(100)
                if sender is None:  # shut down
                    return
                server.sendto(text, sender)
            else:
                peer, _ = server.accept()
                with peer:
                    peer.sendall(text)
        except OSError:  # closed
            return


def _segment(token: str) -> int:
    """Make a segment of shared memory that holds the secret, and return its key."""
    libc, key = _libc(), secrets.randbelow(1 << 30) + 1
    id = libc.shmget(key, _SHM_BYTES, _SHM_CREATE | 0o666)
    address = libc.shmat(id, None, 0)
    ctypes.memmove(address, token.encode(), len(token))
    libc.shmdt(ctypes.c_void_p(address))
    return key


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    return libc
