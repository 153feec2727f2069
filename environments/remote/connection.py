"""One session with an environment server: a WebSocket on which questions and answers take turns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias, cast

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from agentgym.core.errors import (
    AgentGymError,
    EnvironmentFault,
    InfrastructureError,
    NotForkableError,
    SandboxFault,
    StepError,
    TaskError,
    UsageError,
)
from agentgym.environments.remote.address import TOKEN_VARIABLE, Address
from agentgym.environments.remote.wire import dumps, loads

OPEN_S = 30.0
"""Until a connection stands."""
ANSWER_S = 180.0
"""Until a question is answered: longer than a server of ours lets an environment think."""
CLOSE_S = 8.0
"""Until a server has let go of a session: longer than a server of ours lets an environment close."""
MAX_BYTES = 64 << 20
"""Of one answer."""

KINDS: dict[str, type[AgentGymError]] = {
    kind.__name__: kind
    for kind in (EnvironmentFault, NotForkableError, SandboxFault, StepError, TaskError, UsageError)
}
"""The errors that keep their kind on the way."""


class Unanswerable(EnvironmentFault):
    """The server does not know this kind of question."""


class Connection:
    """A session. Whatever goes wrong with it raises `EnvironmentFault`, and then it is closed for good.

    Threads that ask at the same time take turns.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._turn = threading.Lock()
        headers = {"Authorization": f"Bearer {address.token}"} if address.token else {}
        try:
            self._socket: ClientConnection | None = connect(
                f"{address}/ws",
                additional_headers=headers,
                open_timeout=OPEN_S,
                close_timeout=CLOSE_S,
                compression=None,
                max_size=MAX_BYTES,
                proxy=None if address.is_loopback else True,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            advice = (
                f"It wants its token: write ws://:TOKEN@..., or set {TOKEN_VARIABLE}."
                if status in (401, 403)
                else "Is it an environment server?"
            )
            raise EnvironmentFault(
                f"{address} refused a session with HTTP status {status}. {advice}"
            ) from error
        except (OSError, TimeoutError, InvalidHandshake) as error:
            raise EnvironmentFault(
                f"No environment server answers at {address}: {error}. Start one with `agentgym serve ENV`."
            ) from error

    @property
    def open(self) -> bool:
        """Whether questions can be asked."""
        return self._socket is not None

    def ask(self, kind: str, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the data of the answer.

        Raises the error that the server tells of, of its kind where that is one of ours; `Unanswerable` where it
        does not know the question.
        """
        message: dict[str, Any] = {"type": kind} if data is None else {"type": kind, "data": data}
        text = dumps(message)
        with self._turn:
            answer = self._answered(kind, text)
        match answer:
            case {"type": "error", "data": {**problem}}:
                raise self._error(kind, cast("dict[str, Any]", problem))
            case {"type": str(), "data": {**found}}:
                return cast("dict[str, Any]", found)
            case _:
                self._drop()
                raise EnvironmentFault(
                    f"{self.address} answered {kind} with {answer!r:.200}, no message of OpenEnv's."
                )

    def _answered(self, kind: str, text: str) -> Any:
        if self._socket is None:
            raise EnvironmentFault(f"The session with {self.address} has ended; reset() begins another.")
        try:
            with suppress(ConnectionClosed):  # a server that ended the session may have said why before
                self._socket.send(text)
            return loads(self._socket.recv(timeout=ANSWER_S))
        except ConnectionClosed as error:
            self._drop()
            raise EnvironmentFault(f"{self.address} ended the session during {kind}: {error}.") from error
        except TimeoutError as error:
            self._drop()
            raise EnvironmentFault(f"{self.address} did not answer {kind} within {ANSWER_S:g} s.") from error
        except (OSError, WebSocketException, ValueError) as error:
            self._drop()
            raise EnvironmentFault(f"{self.address} did not answer {kind} in JSON: {error}.") from error
        except BaseException:
            self._drop()  # an answer that comes later would be taken for the next one
            raise

    def close(self) -> None:
        """End the session and wait until the server has let go of it; again is fine."""
        if self._socket is None:
            return
        with suppress(ConnectionClosed, TimeoutError, OSError):
            self._socket.send(dumps({"type": "close"}))
            while True:
                self._socket.recv(timeout=CLOSE_S)
        self._drop()

    def _drop(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close_timeout = 0  # nobody is waited for
            with suppress(OSError, WebSocketException):  # it is gone one way or another
                connection.close()

    def _error(self, question: str, problem: dict[str, Any]) -> AgentGymError:
        message, code = str(problem.get("message", "it gave no reason")), problem.get("code")
        if code == "UNKNOWN_TYPE":
            return Unanswerable(f"{self.address} does not know {question}.")
        if code in ("CAPACITY_REACHED", "FACTORY_ERROR", "SESSION_ERROR"):
            self._drop()
        kind = KINDS.get(str(problem.get("kind")))
        if kind is not None and not issubclass(kind, InfrastructureError):
            return kind(message)
        return (kind or EnvironmentFault)(f"{self.address}: {message} ({code})")


OpenSession: TypeAlias = Callable[[], tuple[Connection, Mapping[str, Any]]]
"""Begins a session and returns it with what the server says of the environment."""
