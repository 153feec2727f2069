"""The application of an environment server: sessions at `/ws`, and OpenEnv's HTTP side.

Over HTTP each request has an environment of its own, as in OpenEnv's own server: `/step` begins an episode, as
`/reset` with the same fields would, and takes one action in it. Episodes are played at `/ws`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from agentgym.core.errors import UsageError
from agentgym.serving.environments.problems import Code, Misfit, error_message, problem_of
from agentgym.serving.environments.schema import describe_action, describe_observation, describe_state
from agentgym.serving.environments.session import Session
from agentgym.serving.environments.sockets import HungUp, Line
from agentgym.serving.environments.workshop import Workshop
from agentgym.serving.http import Caller, read_json
from agentgym.serving.problems import Refusal


@dataclass(frozen=True, slots=True)
class Limits:
    """How many and how much a server takes, and how long it waits; times in seconds."""

    sessions: int = 256
    """At once; a client beyond them is told CAPACITY_REACHED."""
    message_bytes: int = 8 << 20
    """Of one message, or one request's body."""
    call_s: float = 120.0
    """Until an environment has answered."""
    idle_s: float = 3600.0
    """Until a session in which nothing is asked is ended."""
    send_s: float = 30.0
    """Until a client has read what is sent."""
    body_s: float = 30.0
    """Until a request has arrived."""


@dataclass(slots=True)
class Served:
    """What the application serves, and to whom."""

    workshop: Workshop
    limits: Limits
    caller: Caller
    on_problem: Callable[[str], None]
    """Told one line about each session that ends otherwise than by its client, and each failure of an environment."""
    sessions: set[Session] = field(default_factory=set[Session])
    """Those under way."""

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        """Hold a session; raises `Misfit` where there are too many."""
        active, most = len(self.sessions), self.limits.sessions
        if active >= most:
            raise Misfit(
                Code.CAPACITY_REACHED,
                f"Server at capacity: {active} of {most} sessions are under way. Close one, or serve with more "
                "--sessions.",
                active_sessions=active,
                max_sessions=most,
            )
        session = Session(self.workshop)
        self.sessions.add(session)
        try:
            yield session
        finally:
            try:
                await session.close()
            except Exception as error:  # noqa: BLE001 - the session is over all the same
                self.on_problem(f"An environment could not be closed: {error!r}.")
            finally:
                self.sessions.discard(session)


def make_app(served: Served) -> Starlette:
    """Build the application."""
    sides = _Endpoints(served)
    routes = [
        Route("/health", sides.health),
        Route("/metadata", sides.guarded(sides.metadata)),
        Route("/schema", sides.guarded(sides.schema)),
        Route("/state", sides.guarded(sides.state)),
        Route("/reset", sides.guarded(sides.reset), methods=["POST"]),
        Route("/step", sides.guarded(sides.step), methods=["POST"]),
        WebSocketRoute("/ws", sides.converse),
    ]
    return Starlette(routes=routes)


class _Endpoints:
    def __init__(self, served: Served) -> None:
        self._served = served

    # --- sessions -----------------------------------------------------------------------------------

    async def converse(self, websocket: WebSocket) -> None:
        """Answer questions on a WebSocket until one side ends it."""
        try:
            self._served.caller.check(websocket.headers)
        except Refusal as refusal:
            await websocket.send_denial_response(_refused(refusal))
            return
        await websocket.accept()
        limits = self._served.limits
        line = Line(websocket, limits.idle_s, limits.send_s)
        hung_up = True
        try:
            async with self._served.session() as session:
                await self._answer_all(line, session)
            hung_up = False
        except Misfit as error:  # no room
            with suppress(HungUp):
                await line.send(error_message(error))
                hung_up = False
        except HungUp:
            pass
        finally:
            await line.close(hung_up=hung_up)

    async def _answer_all(self, line: Line, session: Session) -> None:
        while True:
            try:
                question = await line.question()
            except TimeoutError:
                idle = f"The session was ended: nothing was asked for {self._served.limits.idle_s:g} s."
                self._served.on_problem(idle)
                await line.send(error_message(Misfit(Code.SESSION_ERROR, idle)))
                return
            answering = session.answer(question)
            try:
                answer = await (answering if session.blocking else line.while_there(answering))
            except HungUp:
                raise
            except Exception as error:  # noqa: BLE001 - a client must get an answer, whatever a world raises
                problem = problem_of(error)
                self._note(problem)
                await line.send(error_message(error))
                if problem["code"] == Code.FACTORY_ERROR:
                    return
                continue
            if answer is None:
                return
            await line.send(answer)

    def _note(self, problem: Mapping[str, Any]) -> None:
        """Tell the operator of what is no client's mistake."""
        if problem["kind"] in ("EnvironmentFault", "SandboxFault"):
            self._served.on_problem(" ".join(str(problem["message"]).split()))

    # --- HTTP ---------------------------------------------------------------------------------------

    def guarded(
        self, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint behind the token; whatever it raises becomes a response."""

        async def handle(request: Request) -> Response:
            try:
                self._served.caller.check(request.headers)
                return await endpoint(request)
            except ClientDisconnect:
                return Response(status_code=499)
            except Refusal as refusal:
                return _refused(refusal)
            except Exception as error:  # noqa: BLE001 - a client must get an answer, whatever a world raises
                problem = problem_of(error)
                self._note(problem)
                full = problem["code"] == Code.CAPACITY_REACHED
                usage = isinstance(error, UsageError | ValidationError) or problem["kind"] == "UsageError"
                return JSONResponse({"detail": problem}, 503 if full else 422 if usage else 500)

        return handle

    async def health(self, request: Request) -> Response:
        """Say that the server lives; the one thing that wants no token."""
        return JSONResponse({"status": "healthy"})

    async def metadata(self, request: Request) -> Response:
        """Say what is served."""
        from agentgym import __version__

        spec = self._served.workshop.spec
        told = {"name": spec.name, "description": spec.summary, "version": __version__, "author": "agentgym"}
        return JSONResponse({**told, "readme_content": None, "documentation_url": None})

    async def schema(self, request: Request) -> Response:
        """Describe actions, observations and the state."""
        workshop = self._served.workshop
        return JSONResponse(
            {
                "action": describe_action(workshop.action_space),
                "observation": describe_observation(workshop.observation_space),
                "state": describe_state(),
            }
        )

    async def state(self, request: Request) -> Response:
        """Return the state of an environment that nothing has happened in."""
        return JSONResponse({"episode_id": None, "step_count": 0})

    async def reset(self, request: Request) -> Response:
        """Begin an episode and show its beginning."""
        data = await self._json(request)
        async with self._served.session() as session:
            return _observation(await session.reset(data))

    async def step(self, request: Request) -> Response:
        """Begin an episode and take one action."""
        data = dict(await self._json(request))
        action = data.pop("action", None)
        if not isinstance(action, dict):
            raise Misfit(Code.VALIDATION_ERROR, "A step needs an action, which is an object; see /schema.")
        async with self._served.session() as session:
            await session.reset(data)
            return _observation(await session.step(cast("dict[str, Any]", action)))

    async def _json(self, request: Request) -> Mapping[str, Any]:
        limits = self._served.limits
        return await read_json(request, limits.message_bytes, limits.body_s, empty=True)


def _observation(message: str) -> Response:
    """Return the data of an observation message."""
    return JSONResponse(json.loads(message)["data"])


def _refused(refusal: Refusal) -> Response:
    headers = {"www-authenticate": "Bearer"} if refusal.status == 401 else {}
    return JSONResponse(
        {"detail": {"message": refusal.message, "code": refusal.code}}, refusal.status, headers
    )
