"""Boxes with an allow-list reach what is on it, by the clients that everybody uses, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.errors import ConfigError
from agentgym.core.hosts import parse_host
from agentgym.core.sandbox import SandboxSpec
from agentgym.sandboxes.backends import sandbox
from agentgym.sandboxes.proxy import Proxy, Refused, read_request
from tests.held import held
from tests.waiting import eventually

FETCH = """
import http.client, os, sys, urllib.error, urllib.request
for url in sys.argv[1:]:
    try:
        print(urllib.request.urlopen(url, data=None, timeout=20).read().decode())
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode().strip())
    except OSError as error:
        print(error)
place = os.environ["https_proxy"].removeprefix("http://").split(":")
for url in sys.argv[1:]:
    host, port = url.split("/")[2].split(":")
    tunnel = http.client.HTTPConnection(place[0], int(place[1]))
    tunnel.set_tunnel(host, int(port))
    try:
        tunnel.request("POST", "/tunnel", b"x" * 300_000)
        print(tunnel.getresponse().read().decode())
    except OSError as error:
        print(error)
"""


class _Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        told = (
            f"{self.path} at {self.headers['Host'].partition(':')[0]}, {len(self.rfile.read(length))} bytes"
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told.encode())

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """Two sites on this machine; boxes may reach the first."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _Site) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever).start()
    yield servers[0].server_address[1], servers[1].server_address[1]
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("backend", ["process", "docker"])
def test_what_is_on_the_list_is_reached_and_nothing_else(
    backend: str, ports: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    if backend == "docker":
        request.getfixturevalue("docker_daemon")
    allowed, other = ports

    async def main() -> str:
        spec = SandboxSpec(
            network="allowlist",
            allowed_hosts=(f"LOCALHOST:{allowed}", f"127.0.0.1:{allowed}", "a.invalid:80"),
        )
        async with sandbox(spec, backend) as box:
            urls = [
                f"http://localhost:{allowed}/a?b#c",
                f"http://127.0.0.1:{allowed}",
                f"http://127.0.0.1:{other}/",
            ]
            twin = await box.fork()
            try:
                words = ["python3", "-c", FETCH, *urls, "http://a.invalid:80/"]
                results = [await one.run(words) for one in (box, twin)]
                assert results[0].stdout == results[1].stdout
                return results[0].text + results[0].stderr.decode()
            finally:
                await twin.close()

    asyncio.run(main())  # what is made once for all boxes, such as threads
    before = held()
    lines = asyncio.run(main()).splitlines()
    if backend == "process":  # Docker's own client keeps its connections
        assert eventually(lambda: not held() - before)  # the sites let go of their ends in their own time
    refused = f"127.0.0.1:{other} is not on this sandbox's allow-list."
    assert lines[:3] == ["/a?b at localhost, 0 bytes", "/ at 127.0.0.1, 0 bytes", f"403 {refused}"]
    assert lines[3].startswith("502 a.invalid:80 cannot be reached: ")
    assert lines[4:6] == ["/tunnel at localhost, 300000 bytes", "/tunnel at 127.0.0.1, 300000 bytes"]
    assert lines[6:8] == [
        "Tunnel connection failed: 403 Forbidden",
        "Tunnel connection failed: 502 Bad Gateway",
    ]


def test_a_name_that_leads_to_this_machine_is_refused(ports: tuple[int, int]) -> None:
    """As `getaddrinfo` gives them: by short forms of an address."""

    async def main() -> tuple[bytes, bytes]:
        proxy = Proxy([f"127.1:{ports[0]}", f"127.0.0.1:{ports[0]}"])
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        place = listener.getsockname()
        await proxy.open(listener)
        try:
            return await _asked(place, f"127.1:{ports[0]}"), await _asked(place, f"127.0.0.1:{ports[0]}")
        finally:
            await proxy.close()

    near, given_by_address = asyncio.run(main())
    assert near.startswith(b"HTTP/1.1 403 ")
    assert near.endswith(b"127.1 leads to this machine itself.\n")
    assert given_by_address == b"HTTP/1.1 200 Connection established\r\n\r\n"


async def _asked(place: tuple[str, int], target: str) -> bytes:
    reader, writer = await asyncio.open_connection(*place)
    writer.write(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def test_heads_are_rewritten_for_the_host() -> None:
    request = read_request(
        b"POST http://Example.ORG:8080?q HTTP/1.0\r\nhost: other\r\nProxy-Authorization: secret\r\n"
        b"Connection: keep-alive\r\nAccept: */*\r\nContent-Length: 3\r\n\r\n"
    )
    assert request[:2] == ("example.org", 8080)
    assert request.head == (
        b"POST /?q HTTP/1.1\r\nHost: Example.ORG:8080\r\nConnection: close\r\nAccept: */*\r\nContent-Length: 3\r\n\r\n"
    )
    assert read_request(b"CONNECT [::1]:443 HTTP/1.1\r\n\r\n") == ("::1", 443, b"")


@given(st.binary(), st.sampled_from([b"", b"GET http://", b"CONNECT "]))
def test_whatever_is_sent_is_read_or_refused(sent: bytes, begun: bytes) -> None:
    with suppress(Refused):
        request = read_request(begun + sent + b" HTTP/1.1\r\n\r\n")
        assert request.host
        assert 0 < request.port < 65536
        assert request.head == b"" or b"\r\n\r\n" in request.head


@pytest.mark.parametrize(
    "text", ["", "http://a.org", "a.org/x", "*.org", "a.org:0", "a.org:65536", "a b", "[::1", "."]
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no host; one is such as"):
        parse_host(text)
    with pytest.raises(ConfigError, match="is no host"):
        SandboxSpec(network="allowlist", allowed_hosts=(text,))
