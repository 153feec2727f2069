"""A small `adb` server with one device behind it: the phone in process, as Android's command line shows it.

Speaks the wire protocol between clients and the server (AOSP, packages/modules/adb: OVERVIEW.TXT, SERVICES.TXT,
SYNC.TXT) as far as `adb devices`, `shell`, `exec-out`, `pull` and `push` need it. Debian's own client is held against it.
"""

import io
import shlex
import socket
import struct
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from socketserver import BaseRequestHandler, ThreadingTCPServer

from PIL import Image

from agentgym.environments.phone.actions import Command, Refusal
from agentgym.environments.phone.device import Device
from agentgym.environments.phone.ui.hierarchy import write_hierarchy
from agentgym.environments.phone.ui.node import HEIGHT, WIDTH
from agentgym.environments.phone.ui.render import draw

SERIAL = "emulator-5554"
VERSION = 41
"""Of the protocol: clients end a server that has another."""
_HOLD_MS = 500


class Android:
    """The phone in process behind Android's commands."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.files: dict[str, bytes] = {}
        self.commands: list[str] = []
        self.busy = 0
        """Dumps that fail before one succeeds."""
        self.broken: dict[str, bytes] = {}
        """What commands write instead, by their first word."""

    def run(self, line: str) -> bytes:
        """Run a command line and return what it writes."""
        self.commands.append(line)
        words = shlex.split(line)
        if words[0] in self.broken:
            return self.broken[words[0]]
        tools: dict[str, Callable[[list[str]], bytes]] = {
            "uiautomator": self._uiautomator,
            "input": self._input,
            "screencap": self._screencap,
            "monkey": self._monkey,
            "settings": self._settings,
            "wm": lambda _: f"Physical size: {WIDTH}x{HEIGHT}\n".encode(),
            "pm": lambda _: "".join(
                f"package:gym.phone.{a.name.lower()}\n" for a in self.device.installed()
            ).encode(),
            "echo": lambda rest: " ".join(rest).encode() + b"\n",
            "sleep": lambda _: b"",
        }
        if words[0] not in tools:
            return f"/system/bin/sh: {words[0]}: inaccessible or not found\n".encode()
        return tools[words[0]](words[1:])

    def _uiautomator(self, words: list[str]) -> bytes:
        if self.busy:
            self.busy -= 1
            return b"ERROR: could not get idle state.\n"
        self.files[words[1]] = write_hierarchy(self.device.scene.root).encode()
        return f"UI hierchary dumped to: {words[1]}\n".encode()  # Android's own spelling

    def _screencap(self, words: list[str]) -> bytes:
        out = io.BytesIO()
        Image.fromarray(draw(self.device.scene.root, self.device.below())).save(out, "PNG")
        return out.getvalue()

    def _monkey(self, words: list[str]) -> bytes:
        name = words[1].removeprefix("gym.phone.")
        self.device.do(Command("open_app", text=name))
        return b"Events injected: 1\n"

    def _settings(self, words: list[str]) -> bytes:
        (row,) = self.device.store.rows("settings", name=words[-1])
        return f"{row['value']}\n".encode()

    def _input(self, words: list[str]) -> bytes:
        kind, rest = words[0], words[1:]
        try:
            if kind == "tap":
                self.device.do(Command("tap", (int(rest[0]), int(rest[1]))))
            elif kind == "swipe":
                self._swipe(*map(int, rest))
            elif kind == "text":
                self._type(self._typed() + rest[0].replace("%s", " "))
            else:
                self._keys(rest)
        except Refusal:
            pass  # a touch that meets nothing is no error on Android
        return b""

    def _swipe(self, left: int, top: int, right: int, bottom: int, milliseconds: int) -> None:
        if (left, top) == (right, bottom):
            assert milliseconds > _HOLD_MS
            return self.device.do(Command("long_press", (left, top)))
        across = abs(right - left) > abs(bottom - top)
        direction = ("right" if right > left else "left") if across else ("down" if bottom > top else "up")
        return self.device.do(Command("swipe", (left, top), direction, (right, bottom)))

    def _typed(self) -> str:
        frame = self.device.top
        return frame.fields.get(frame.focus, self.device.scene.context.initial.get(frame.focus, ""))

    def _type(self, text: str) -> None:
        self.device.do(Command("type", text=text))

    def _keys(self, keys: list[str]) -> None:
        if keys[0] in ("3", "4"):
            return self.device.do(Command("home" if keys[0] == "3" else "back"))
        assert keys[0] == "KEYCODE_MOVE_END"
        assert set(keys[1:]) <= {"67"}
        frame = self.device.top
        focus, kept = frame.focus, self._typed()[: -len(keys[1:]) or None]
        self._type(kept)
        frame.focus = focus
        return self.device.do(Command("wait"))  # draws the screen anew


class _Handler(BaseRequestHandler):
    """One connection of a client."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, AdbTestServer)
        android, wire = server.android, self.request
        try:
            while True:
                request = _exactly(wire, int(_exactly(wire, 4), 16)).decode()
                server.requests.append(request)
                if not self._answer(wire, android, request, server):
                    return
        except (ConnectionError, OSError):
            return  # the client hung up

    def _answer(self, wire: socket.socket, android: Android, request: str, server: "AdbTestServer") -> bool:
        """Answer a request; return whether the connection goes on."""
        kind, _, rest = request.partition(":")
        if kind == "host" and rest.startswith(("transport", "tport")):
            wanted = rest.rpartition(":")[2]
            if wanted not in (SERIAL, "any", "transport-any") or not server.plugged:
                reason = f"device '{wanted}' not found" if server.plugged else "no devices/emulators found"
                return _fail(wire, reason)
            wire.sendall(b"OKAY" + (struct.pack("<Q", 1) if rest.startswith("tport") else b""))
            return True
        if kind.startswith("host"):
            return self._host(wire, rest.rpartition(":")[2] if kind != "host" else rest, server)
        if kind in ("shell", "exec"):
            wire.sendall(b"OKAY")
            wire.sendall(android.run(rest))
            return False
        if request == "sync:":
            wire.sendall(b"OKAY")
            return _sync(wire, android)
        return _fail(wire, f"unknown service '{request}'")

    def _host(self, wire: socket.socket, service: str, server: "AdbTestServer") -> bool:
        listing = f"{SERIAL}\tdevice\n" if server.plugged else ""
        answers = {"version": f"{VERSION:04x}", "devices": listing, "features": "", "devices-l": listing}
        if service not in answers:
            return _fail(wire, f"unknown host service '{service}'")
        body = answers[service].encode()
        wire.sendall(b"OKAY" + b"%04x" % len(body) + body)
        return False


def _fail(wire: socket.socket, reason: str) -> bool:
    wire.sendall(b"FAIL" + b"%04x" % len(reason) + reason.encode())
    return False


def _exactly(wire: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = wire.recv(count - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


def _sync(wire: socket.socket, android: Android) -> bool:
    """Serve the sync protocol until QUIT."""
    while True:
        kind, size = struct.unpack("<4sI", _exactly(wire, 8))
        if kind == b"QUIT":
            return False
        path = _exactly(wire, size).decode()
        if kind == b"STAT":
            content = android.files.get(path)
            mode = 0o100644 if content is not None else 0
            wire.sendall(b"STAT" + struct.pack("<III", mode, len(content or b""), 0))
        elif kind == b"RECV":
            _send_file(wire, android.files.get(path), path)
        elif kind == b"SEND":
            android.files[path.rpartition(",")[0]] = _receive_file(wire)
            wire.sendall(b"OKAY" + struct.pack("<I", 0))


def _send_file(wire: socket.socket, content: bytes | None, path: str) -> None:
    if content is None:
        reason = f"failed to open '{path}': No such file or directory".encode()
        wire.sendall(b"FAIL" + struct.pack("<I", len(reason)) + reason)
        return
    for start in range(0, len(content), 1000):
        part = content[start : start + 1000]
        wire.sendall(b"DATA" + struct.pack("<I", len(part)) + part)
    wire.sendall(b"DONE" + struct.pack("<I", 0))


def _receive_file(wire: socket.socket) -> bytes:
    parts: list[bytes] = []
    while True:
        kind, size = struct.unpack("<4sI", _exactly(wire, 8))
        if kind == b"DONE":
            return b"".join(parts)
        parts.append(_exactly(wire, size))


class AdbTestServer(ThreadingTCPServer):
    """The server, on a free port of the loopback."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, android: Android) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.android = android
        self.plugged = True
        self.requests: list[str] = []
        self.port = int(self.server_address[1])


@contextmanager
def adb_server(android: Android) -> Generator[AdbTestServer]:
    """Run a server for a while."""
    with AdbTestServer(android) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
