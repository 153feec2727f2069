"""The gateway's ASGI application.

Each attempt at a rollout has a base URL of its own, `/rollout/ID/attempt/N/v1`; `/v1` alone is for calls that belong
to no rollout. A call is answered whole and then sent, also where a stream is asked for: so whatever goes wrong has
a proper status, and a client that hangs up in the meantime ends the generation.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentgym.core.errors import InferenceFault, StoreFault, UsageError, unknown_name_message
from agentgym.core.policy import Sampling
from agentgym.core.task import Task
from agentgym.rollout.collect import EpisodePlan
from agentgym.serving.answering import GivenUp, HungUp, Line, answered, loose_sampling, rollout_sampling
from agentgym.serving.attempt import AttemptKey, ended
from agentgym.serving.conversations import Node
from agentgym.serving.http import Caller, read_json, refusal_response
from agentgym.serving.loose import LooseCalls
from agentgym.serving.problems import Refusal
from agentgym.serving.registry import Registry
from agentgym.serving.wire.anthropic_messages import MESSAGES
from agentgym.serving.wire.call import Answer, Call, WireFormat
from agentgym.serving.wire.fields import Body, validated
from agentgym.serving.wire.openai_chat import CHAT
from agentgym.serving.wire.openai_responses import RESPONSES

FORMATS = {"chat/completions": CHAT, "responses": RESPONSES, "messages": MESSAGES}
ATTEMPT = "/rollout/{rollout}/attempt/{attempt:int}"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much and how long the gateway waits; times in seconds."""

    body_bytes: int = 8 << 20
    """Of one request."""
    body_s: float = 30.0
    """Until a request has arrived."""
    call_s: float = 600.0
    """Until the policy has answered."""
    idle_s: float = 3600.0
    """Until an attempt in which nothing happens is ended without a score."""


@dataclass(frozen=True, slots=True)
class Served:
    """What the application serves."""

    registry: Registry
    loose: LooseCalls
    model: str
    """The name of the policy."""
    sampling: Sampling
    limits: Limits
    caller: Caller
    on_problem: Callable[[str], None]
    """Told one line about each request that is not carried out."""


class _Opening(Body):
    task: dict[str, Any] | None = None
    group: str | None = None
    seed: int | None = None


class _Reward(Body):
    reward: float
    success: bool | None = None
    done: bool = True


def make_app(served: Served) -> Starlette:
    """Build the application."""
    endpoints = _Endpoints(served)
    routes: list[Route] = []
    for prefix in ("", ATTEMPT):
        routes.append(Route(f"{prefix}/v1/models", endpoints.guarded(endpoints.models)))
        routes += [
            Route(f"{prefix}/v1/{path}", endpoints.guarded(endpoints.calls(form)), methods=["POST"])
            for path, form in FORMATS.items()
        ]
    routes.append(Route(ATTEMPT, endpoints.guarded(endpoints.open), methods=["POST"]))
    routes.append(Route(f"{ATTEMPT}/reward", endpoints.guarded(endpoints.reward), methods=["POST"]))
    return Starlette(routes=routes, exception_handlers={HTTPException: endpoints.not_found})


class _Endpoints:
    def __init__(self, served: Served) -> None:
        self._served = served

    def guarded(
        self, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint behind the token; whatever it raises becomes a response and a line for the operator."""

        async def handle(request: Request) -> Response:
            try:
                self._served.caller.check(request.headers)
                return await endpoint(request)
            except (HungUp, ClientDisconnect):
                refusal = Refusal(499, "The client hung up; its call was given up.")
            except Refusal as error:
                refusal = error
            except UsageError as error:
                refusal = Refusal(400, str(error))
            except StoreFault as error:  # the client's episode is over, and its reward is not the reason
                refusal = Refusal(500, f"The episode could not be kept: {error}", code="store_fault")
            except InferenceFault as error:
                refusal = Refusal(503, f"The policy could not answer: {error}", code="inference_fault")
            except Exception as error:  # noqa: BLE001 - a client must get an answer, whatever a policy raises
                refusal = Refusal(500, f"The policy failed: {error!r}", code="inference_fault")
            return self._refuse(request, refusal)

        return handle

    async def not_found(self, request: Request, error: Exception) -> Response:
        """Answer what no route answers."""
        assert isinstance(error, HTTPException)
        allowed = ", ".join(FORMATS)
        message = (
            f"There is no {request.method} {request.url.path} here. Calls go to a base URL and {allowed}."
        )
        return self._refuse(request, Refusal(error.status_code, message))

    async def models(self, request: Request) -> Response:
        """List the policy, in the words of both makers."""
        name = self._served.model
        entry = {"id": name, "object": "model", "created": 0, "owned_by": "agentgym"}
        entry |= {"type": "model", "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
        return JSONResponse(
            {"object": "list", "data": [entry], "has_more": False, "first_id": name, "last_id": name}
        )

    def calls(self, form: WireFormat) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint of an API's calls."""

        async def call(request: Request) -> Response:
            return await self._answer(request, form)

        return call

    async def open(self, request: Request) -> Response:
        """Begin an attempt that is at a task, in a group; else the first call or reward would begin it."""
        key = _key(request)
        opening = validated(_Opening, await self._json(request, empty=True))
        plan = self._served.registry.plan(key)
        self._served.registry.open(
            key,
            EpisodePlan(
                task=plan.task if opening.task is None else Task.from_json(opening.task),
                episode_id=plan.episode_id,
                group_id=opening.group or plan.group_id,
                seed=plan.seed if opening.seed is None else opening.seed,
            ),
        )
        return JSONResponse(
            {"rollout": key.rollout, "attempt": key.number, "base_path": f"{key.path}/v1"}, 201
        )

    async def reward(self, request: Request) -> Response:
        """Reward an attempt, and end it unless told otherwise."""
        key = _key(request)
        given = validated(_Reward, await self._json(request))
        attempt = self._served.registry.find(key, "reward")
        attempt.reward(given.reward, given.success, done=given.done)
        if not attempt.done:
            return JSONResponse({"done": False})
        episode = await attempt.episode()
        summary = {"outcome": episode.outcome.value, "score": episode.score, "turns": len(episode.turns)}
        return JSONResponse({"done": True, **summary})

    async def _answer(self, request: Request, form: WireFormat) -> Response:
        served = self._served
        call = form.parse(await self._json(request))
        if call.model != served.model:
            message = unknown_name_message("model", call.model, [served.model])
            raise Refusal(404, message, code="model_not_found", param="model")
        line, sampling = self._line(request, call)
        try:
            node = await answered(line, call, sampling, served.limits.call_s, request.receive)
        except GivenUp:
            raise ended(_key(request), "call") from None
        except Refusal:
            raise
        except UsageError as error:  # of the policy's own settings, such as its key: no client can mend them
            raise InferenceFault(str(error)) from error
        answer = _answer_of(node, served.model)
        if not call.stream:
            return JSONResponse(form.reply(call, answer))
        events = "".join(form.events(call, answer))
        return Response(events, media_type="text/event-stream", headers={"cache-control": "no-store"})

    def _line(self, request: Request, call: Call) -> tuple[Line, Sampling]:
        served = self._served
        if "rollout" not in request.path_params:
            return served.loose, loose_sampling(call, served.sampling)
        attempt = served.registry.find(_key(request), "call")
        return attempt, rollout_sampling(call, served.sampling)

    async def _json(self, request: Request, *, empty: bool = False) -> Any:
        limits = self._served.limits
        return await read_json(request, limits.body_bytes, limits.body_s, empty=empty)

    def _refuse(self, request: Request, refusal: Refusal) -> Response:
        message = " ".join(refusal.message.split())
        line = f"{refusal.status} {request.method} {request.url.path}: {message}"
        self._served.on_problem(_printable(line))
        return refusal_response(request.scope, refusal)


def _key(request: Request) -> AttemptKey:
    return AttemptKey(request.path_params["rollout"], request.path_params["attempt"])


def _printable(line: str) -> str:
    """Return the line with what a terminal would obey, rather than show, written as escapes."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)


def _answer_of(node: Node, model: str) -> Answer:
    return Answer(secrets.token_hex(12), int(time.time()), model, node.completion, node.context_ids)
