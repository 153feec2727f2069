"""The one way out of a box with an allow-list: a proxy for HTTP that lets through to some hosts and to nothing else.

It runs outside, in this process, and listens on the box's own loopback. Programs ask it for a host by name (`CONNECT
host:port`, or `GET http://host/path`), as all that honours `https_proxy` and `http_proxy` does; names are resolved out
here. Nothing in the box is trusted: what it does not ask the proxy for it cannot reach.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

from agentgym.core.errors import ConfigError
from agentgym.core.hosts import parse_host

_HEAD_BYTES = 1 << 15
_HEAD_S = 30.0
_CONNECT_S = 15.0
_CHUNK = 1 << 16
_CONNECTIONS = 64
"""Most at one time; further ones are told to come again."""
_TARGET = re.compile(r"http://(?P<place>[^/?#]*)(?P<rest>.*)", re.IGNORECASE)


class Refused(Exception):
    """A request that is not passed on: the status of the answer, and why."""

    def __init__(self, status: str, why: str) -> None:
        super().__init__(why)
        self.status = status


class Request(NamedTuple):
    """What a program asks for."""

    host: str
    port: int
    head: bytes
    """What the host gets to read first; nothing where the program speaks to it directly."""


class Proxy:
    """A proxy for the hosts in `allowed`, as `agentgym.core.hosts` reads them."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed: dict[str, frozenset[int]] = {}
        for host, ports in map(parse_host, allowed):
            self._allowed[host] = self._allowed.get(host, frozenset()) | ports
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def open(self, listener: socket.socket) -> None:
        """Answer on a listening socket, which is the proxy's from now on."""
        self._server = await asyncio.start_server(self._begin, sock=listener, limit=_HEAD_BYTES)

    async def close(self) -> None:
        """End all connections and listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def allows(self, host: str, port: int) -> bool:
        """Whether connections to a host and port are let through."""
        return port in self._allowed.get(host, frozenset())

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._pass_on(reader, writer)
        except Refused as refusal:
            body = f"{refusal}\n".encode()
            head = f"HTTP/1.1 {refusal.status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            with suppress(OSError):
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):  # one side is gone
            pass
        finally:
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._serving) > _CONNECTIONS:
            raise Refused("503 Service Unavailable", f"There are {_CONNECTIONS} connections already.")
        try:
            async with asyncio.timeout(_HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise Refused("431 Request Header Fields Too Large", "The request's head is too long.") from None
        request = read_request(head)
        if not self.allows(request.host, request.port):
            raise Refused(
                "403 Forbidden", f"{request.host}:{request.port} is not on this sandbox's allow-list."
            )
        far_reader, far_writer = await _connected(request.host, request.port)
        try:
            if request.head:
                far_writer.write(request.head)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _joined(_pour(reader, far_writer), _pour(far_reader, writer))
        finally:
            far_writer.close()


def read_request(head: bytes) -> Request:
    """Read the head of a request to a proxy. Raises `Refused` for what is none.

    Header fields that concern the proxy, or this connection alone, are not passed on, and `Host` is that of the address.
    """
    try:
        line, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        method, target, version = line.split(" ")
        if version not in ("HTTP/1.0", "HTTP/1.1") or not line.isascii() or not line.isprintable():
            raise ValueError(line)
        if method == "CONNECT":
            return Request(*_place(target, None), b"")
        address = _TARGET.fullmatch(target)
        if address is None:
            raise ValueError(target)
        host, port = _place(address["place"], 80)
    except (ValueError, ConfigError):
        raise Refused(
            "400 Bad Request", "This is a proxy: CONNECT host:port, or an address that begins with http://."
        ) from None
    path = address["rest"].partition("#")[0]
    kept = [field for field in fields if not _is_our_own(field)]
    first = f"{method} {path if path.startswith('/') else f'/{path}'} HTTP/1.1"
    lines = [first, f"Host: {address['place']}", "Connection: close", *kept, "", ""]
    return Request(host, port, "\r\n".join(lines).encode("latin-1"))


def _is_our_own(field: str) -> bool:
    name = field.partition(":")[0].strip().lower()
    return name in ("host", "connection", "keep-alive", "upgrade", "te") or name.startswith("proxy-")


def _place(text: str, port: int | None) -> tuple[str, int]:
    """Return host and port; `port` is meant where none is named. Raises `ConfigError` and `ValueError`."""
    host, ports = parse_host(text)
    if len(ports) == 1:
        return host, min(ports)
    if port is None:
        raise ValueError(text)
    return host, port


async def _connected(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a host by the addresses that its name has now. Raises `Refused` where none answers."""
    problem = "it has no address"
    try:
        async with asyncio.timeout(_CONNECT_S):
            for address in await _addresses(host, port):
                try:
                    return await asyncio.open_connection(address, port, limit=_CHUNK)
                except OSError as error:
                    problem = error.strerror or str(error)
    except TimeoutError:
        problem = f"no answer within {_CONNECT_S:g} s"
    except OSError as error:
        problem = error.strerror or str(error)
    raise Refused("502 Bad Gateway", f"{host}:{port} cannot be reached: {problem}.")


async def _addresses(host: str, port: int) -> list[str]:
    """Resolve a name. Raises `Refused` where it leads to this machine, which only an address allows, or `localhost`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(place[0]) for *_, place in found]
    if host == "localhost" or host in addresses:
        return addresses
    outside = [address for address in addresses if not _is_near(address)]
    if addresses and not outside:
        raise Refused("403 Forbidden", f"{host} leads to this machine itself.")
    return outside


def _is_near(address: str) -> bool:
    """Whether an address is this machine's, or of a service that clouds give each machine of its own."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    return parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified or parsed.is_multicast


async def _joined(*directions: Coroutine[Any, Any, None]) -> None:
    """Run both directions until both have ended, or one has failed."""
    pouring = [asyncio.ensure_future(direction) for direction in directions]
    try:
        await asyncio.gather(*pouring)
    finally:
        for task in pouring:
            task.cancel()
        await asyncio.wait(pouring)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes, to its end."""
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
