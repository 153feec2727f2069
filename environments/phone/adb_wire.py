"""The protocol between an `adb` client and the `adb` server, as far as a device is driven by it.

A request is its length in four hex digits and its text; the answer begins with `OKAY`, or with `FAIL` and a reason
(AOSP, packages/modules/adb: OVERVIEW.TXT, SERVICES.TXT, SYNC.TXT). After `host:transport:SERIAL` a connection belongs
to that device: `shell:` and `exec:` stream a command's output until it ends, `sync:` transfers files.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Generator
from contextlib import contextmanager

from agentgym.core.errors import EnvironmentFault

DEFAULT_PORT = 5037
_CHUNK = 1 << 16
_MOST = 64 << 20
"""Bytes that an answer may have: more than any screenshot."""


class AdbServer:
    """The `adb` server of this machine, or of another one.

    `serial` names a device where there are several. `timeout_s` is the longest silence that is waited through. Every
    method raises `EnvironmentFault`, with what to do, where the server or the device is not to be had.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int | None = None, serial: str = "", timeout_s: float = 30.0
    ) -> None:
        self.host = host
        self.port = port or int(os.environ.get("ANDROID_ADB_SERVER_PORT", DEFAULT_PORT))
        self.serial = serial
        self.timeout_s = timeout_s

    def devices(self) -> dict[str, str]:
        """Return the state (`device`, `offline`, `unauthorized`) of each device by its serial."""
        with self._connection() as wire:
            wire.ask("host:devices")
            listing = wire.block().decode("utf-8", "replace")
        return dict(line.split("\t", 1) for line in listing.splitlines() if "\t" in line)

    def shell(self, command: str) -> str:
        """Run a command in the device's shell, and return what it writes, errors included."""
        return self._stream(f"shell:{command}").decode("utf-8", "replace").replace("\r\n", "\n")

    def exec_out(self, command: str) -> bytes:
        """Run a command on the device, and return the very bytes that it writes."""
        return self._stream(f"exec:{command}")

    def pull(self, path: str) -> bytes:
        """Return the content of a file on the device."""
        with self._connection() as wire:
            self._choose(wire)
            wire.ask("sync:")
            wire.send_sync(b"RECV", path.encode())
            parts: list[bytes] = []
            while True:
                kind, size = wire.sync_header()
                if kind == b"DONE":
                    return b"".join(parts)
                content = wire.exactly(size)
                if kind != b"DATA":
                    reason = content.decode("utf-8", "replace")
                    raise EnvironmentFault(f"The device did not send {path!r}: {reason}.")
                parts.append(content)

    def _stream(self, service: str) -> bytes:
        with self._connection() as wire:
            self._choose(wire)
            wire.ask(service)
            return wire.rest()

    def _choose(self, wire: _Wire) -> None:
        wire.ask(f"host:transport:{self.serial}" if self.serial else "host:transport-any")

    @contextmanager
    def _connection(self) -> Generator[_Wire]:
        where = f"{self.host}:{self.port}"
        try:
            connection = socket.create_connection((self.host, self.port), self.timeout_s)
        except OSError as error:
            raise EnvironmentFault(
                f"No adb server answers at {where} ({error}); start one with `adb start-server`, and look for "
                "your device with `adb devices`."
            ) from error
        with connection:
            try:
                yield _Wire(connection)
            except OSError as error:
                raise EnvironmentFault(f"The adb server at {where} broke off: {error}.") from error


class _Wire:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def ask(self, service: str) -> None:
        """Send a request and wait for its `OKAY`."""
        request = service.encode()
        self._connection.sendall(b"%04x" % len(request) + request)
        status = self.exactly(4)
        if status != b"OKAY":
            reason = self.block() if status == b"FAIL" else status
            raise EnvironmentFault(
                f"adb refused {service[:80]!r}: {reason.decode('utf-8', 'replace')}. See `adb devices`; with several "
                "devices, choose one by `serial`."
            )

    def block(self) -> bytes:
        """Return a block that says its length in four hex digits."""
        digits = self.exactly(4)
        try:
            return self.exactly(int(digits, 16))
        except ValueError:
            raise EnvironmentFault(f"What answers is no adb server: {digits!r} is no length.") from None

    def send_sync(self, kind: bytes, content: bytes) -> None:
        """Send a request of the sync protocol."""
        self._connection.sendall(kind + struct.pack("<I", len(content)) + content)

    def sync_header(self) -> tuple[bytes, int]:
        """Return the kind and the size of the next part of the sync protocol."""
        header = self.exactly(8)
        return header[:4], struct.unpack("<I", header[4:])[0]

    def exactly(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        parts = bytearray()
        while len(parts) < count:
            part = self._connection.recv(min(count - len(parts), _CHUNK))
            if not part:
                raise EnvironmentFault(f"The adb server hung up after {len(parts)} of {count} bytes.")
            parts += part
        return bytes(parts)

    def rest(self) -> bytes:
        """Return everything up to the end."""
        parts = bytearray()
        while part := self._connection.recv(_CHUNK):
            parts += part
            if len(parts) > _MOST:
                raise EnvironmentFault(f"The device writes without end: more than {_MOST} bytes.")
        return bytes(parts)
