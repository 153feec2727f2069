"""A small HTTP server that speaks chat completions, and fails on request: real sockets, no stand-ins."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeAlias

END = 0
"""The id that ends a turn, in the server's own tokens: one for each character."""


def token_ids(text: str) -> list[int]:
    return [ord(character) for character in text]


def rendered(messages: list[dict[str, Any]]) -> list[int]:
    """The ids of a conversation up to where the assistant's answer begins."""
    said = [[*token_ids(f"{message['role']}: {message['content']}"), END] for message in messages]
    return [token for ids in said for token in ids] + token_ids("assistant: ")


class Seen(NamedTuple):
    """A request that came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What goes back; the connection is cut after `cut` bytes of the body, or nothing comes at all."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    cut: int | None = None
    silent: bool = False


Answering: TypeAlias = Callable[[dict[str, Any]], "str | dict[str, Any] | Reply"]
"""Makes the assistant's message, or another reply, from a request's body."""


def error(status: int, message: str, headers: Mapping[str, str] | None = None, **fields: Any) -> Reply:
    """An error in OpenAI's form."""
    told = {"error": {"message": message, "type": "some_error", "code": None, "param": None, **fields}}
    return Reply(status, json.dumps(told).encode(), headers or {})


class ChatApi:
    """Serves on a port of its own, in a thread of its own, from `start` to `stop`; it may start again there.

    `answer` makes the replies, from a request's body. The next replies are taken from `script` while
    there are any; None there is an ordinary answer.
    """

    def __init__(self, answer: Answering = lambda _: "go to desk 1"):
        self.answer: Answering = answer
        self.models = ["tiny"]
        self.owner = "vllm"
        self.key = ""
        self.finish_reason = "stop"
        self.tells_tokens = True
        self.script: deque[Reply | None] = deque()
        self.seen: list[Seen] = []
        self.under_way = 0
        self.most_under_way = 0
        self.port = 0
        self.pause_s = 0.0
        self._connections: set[asyncio.StreamWriter] = set()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def chats(self) -> list[dict[str, Any]]:
        """The bodies of the chat requests that came in."""
        return [seen.body for seen in self.seen if seen.path == "/v1/chat/completions"]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(60)

    def stop(self) -> None:
        """Close every connection, answered or not, and the port."""
        if self._thread is not None and self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stopping.wait()
        server.close()
        for writer in self._connections:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections.discard(writer)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Take one request and answer it; whether the connection is still of use."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
        }
        data = await reader.readexactly(int(headers.get("content-length", "0")))
        seen = Seen(path, headers, json.loads(data or b"{}"))
        self.seen.append(seen)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.pause_s)
            reply = self._reply(seen)
        finally:
            self.under_way -= 1
        if reply.silent:
            await reader.read()  # until the client has had enough
            return False
        lines = [f"HTTP/1.1 {reply.status} said", f"Content-Length: {len(reply.body)}"]
        told = {"Content-Type": "application/json", **reply.headers}
        lines += [f"{name}: {value}" for name, value in told.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + reply.body[: reply.cut])
        await writer.drain()
        return reply.cut is None

    def _reply(self, seen: Seen) -> Reply:
        if self.key and seen.headers.get("authorization") != f"Bearer {self.key}":
            return error(401, f"Incorrect API key provided: {seen.headers.get('authorization')}.")
        if seen.path == "/v1/models":
            listed = [{"id": name, "object": "model", "owned_by": self.owner} for name in self.models]
            return Reply(body=json.dumps({"object": "list", "data": listed}).encode())
        if seen.path != "/v1/chat/completions":
            return Reply(404, b'{"detail":"Not Found"}')
        scripted = self.script.popleft() if self.script else None
        if scripted is not None:
            return scripted
        if seen.body["model"] not in self.models:
            return error(
                404, f"The model `{seen.body['model']}` does not exist.", type="NotFoundError", code=404
            )
        made = self.answer(seen.body)
        if isinstance(made, Reply):
            return made
        return Reply(body=json.dumps(self._completion(seen.body, made)).encode())

    def _completion(self, body: dict[str, Any], made: str | dict[str, Any]) -> dict[str, Any]:
        message = made if isinstance(made, dict) else {"content": made}
        prompt, ids = rendered(body["messages"]), [*token_ids(message.get("content") or ""), END]
        if self.finish_reason == "length":
            ids = ids[:-1]
        choice: dict[str, Any] = {"index": 0, "finish_reason": self.finish_reason}
        choice["message"] = {"role": "assistant", **message}
        data: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice]}
        data["usage"] = {"prompt_tokens": len(prompt), "completion_tokens": len(ids)}
        if body.get("return_token_ids") and self.tells_tokens:
            data["prompt_token_ids"], choice["token_ids"] = prompt, ids
        if body.get("logprobs"):
            choice["logprobs"] = {"content": [{"token": "", "logprob": -token / 100} for token in ids]}
        return data
