"""What goes wrong, over real HTTP: nothing complete is lost, nothing incomplete recorded, one line for the operator."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest

from agentgym.core.errors import ConfigError, InferenceFault, StoreFault, UsageError
from agentgym.core.trace import Episode, Outcome, StopReason
from agentgym.serving.app import Limits
from agentgym.serving.gateway import Gateway
from tests.serving.desk import PRESS, Http, Scripted, echo, serve

CHAT = "/rollout/one/attempt/1/v1/chat/completions"
ASK: dict[str, Any] = {"model": "policy", "messages": [{"role": "user", "content": "a"}]}


def error_of(response: httpx2.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json"
    return response.json()["error"]


async def send_and_hang_up(http: Http, policy: Scripted, body: dict[str, Any]) -> None:
    """Send a call by hand, wait until the policy is at it, and close the connection."""
    host, port = http.gateway.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    content = json.dumps(body).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {http.gateway.token}\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    asked = len(policy.requests)
    while len(policy.requests) == asked:
        await asyncio.sleep(0.005)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"model": "policy", "messages": [', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"model": NaN}', "NaN is no JSON number"),
        (b"[" * 100_000, "not JSON"),
        (b'{"model": "policy", "messages": [{"role": "user", "content": "\\ud800"}]}', "not JSON in UTF-8"),
        (b"[1]", "must be a JSON object, got a list"),
        (b"", "not JSON"),
    ],
)
def test_a_body_that_is_no_json(content: bytes, message: str) -> None:
    async def use(http: Http, policy: Scripted) -> None:
        answer = await http.post(CHAT, content=content)
        assert answer.status_code == 400
        assert message in error_of(answer)["message"]
        assert error_of(answer)["code"] == "invalid_json"
        (line,) = http.problems
        assert line.startswith(f"400 POST {CHAT}: The body")
        assert (await http.post(CHAT, ASK)).status_code == 200, "the rollout goes on"

    serve(echo, use)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    (
        {"tempreature": 1},
        "tempreature",
        "Unrecognized request argument supplied: tempreature. Did you mean 'temperature'?",
    ),
    ({"top_k": 3}, "top_k", "Unrecognized request argument supplied: top_k."),
    ({"n": 2}, "n", "got 2; one answer is sampled per call"),
    ({"stop": ["\n"]}, "stop", "an answer ends where the policy ends it"),
    ({"response_format": {"type": "json_object"}}, "response_format", "not constrained to a format"),
    ({"tool_choice": "required", "tools": [PRESS]}, "tool_choice", "chooses for itself"),
    ({"parallel_tool_calls": False}, "parallel_tool_calls", "handle them all"),
    ({"logprobs": True, "top_logprobs": 5}, "top_logprobs", "only the sampled tokens"),
    ({"temperature": "1"}, "temperature", "valid number; got '1'"),
    ({"temperature": -1}, "temperature", "greater than or equal to 0; got -1"),
    ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1; got 0"),
    ({"stream": "yes"}, "stream", "valid boolean; got 'yes'"),
    ({"messages": []}, "messages", "at least 1 item"),
    ({"messages": "hello"}, "messages", "valid list"),
    ({"messages": [{"role": "robot", "content": "a"}]}, "messages[0]", "Unknown role 'robot'"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        "messages[0]",
        "only text parts",
    ),
    ({"messages": ["hello"]}, "messages[0]", "expected a message"),
    ({"tools": [{"type": "web_search"}]}, "tools.0.type", "'function'"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools.0.function.name", "Field required"),
    ({"model": None}, "model", "valid string"),
]


@pytest.mark.parametrize(("fields", "param", "message"), WRONG)
def test_fields_that_cannot_be_honoured(fields: dict[str, Any], param: str, message: str) -> None:
    async def use(http: Http, policy: Scripted) -> None:
        answer = await http.post(CHAT, {**ASK, **fields})
        error = error_of(answer)
        assert (answer.status_code, error["param"], error["type"]) == (400, param, "invalid_request_error")
        assert message in error["message"]
        assert not policy.requests
        assert len(http.problems) == 1

    serve(echo, use)


def test_fields_that_mean_nothing_here_are_let_pass() -> None:
    async def use(http: Http, policy: Scripted) -> None:
        hints = {
            "user": "me",
            "metadata": {"a": "b"},
            "store": True,
            "service_tier": "flex",
            "reasoning_effort": "low",
        }
        harmless: dict[str, Any] = {
            "n": 1,
            "stop": None,
            "presence_penalty": 0.0,
            "parallel_tool_calls": True,
            "logit_bias": {},
        }
        named = [{"role": "developer", "content": [{"type": "text", "text": "Act."}], "name": "boss"}]
        answer = await http.post(CHAT, {**ASK, **hints, **harmless, "messages": named})
        assert answer.status_code == 200
        assert policy.requests[0].messages[0].role == "system"

    serve(echo, use)


def test_a_huge_body_is_refused_and_the_connection_lives() -> None:
    async def use(http: Http, policy: Scripted) -> None:
        answer = await http.post(CHAT, {**ASK, "user": "x" * 100_000})
        assert (answer.status_code, error_of(answer)["code"]) == (413, "request_too_large")
        assert "larger than 10,000 bytes" in error_of(answer)["message"]
        assert (await http.post(CHAT, ASK)).status_code == 200

    serve(echo, use, limits=Limits(body_bytes=10_000))


def test_a_body_that_never_arrives() -> None:
    async def use(http: Http, policy: Scripted) -> None:
        host, port = http.gateway.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nx-api-key: {http.gateway.token}\r\nContent-Length: 10\r\n\r\n"
        writer.write(head.encode())
        assert b" 408 " in await reader.readline()
        writer.close()
        await writer.wait_closed()

    serve(echo, use, limits=Limits(body_s=0.05))


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_vanishes_stops_generation_and_leaves_the_session_usable(stream: bool) -> None:
    async def use(http: Http, policy: Scripted) -> Episode:
        await http.chat("one", "a")
        policy.gate.clear()
        going_on = [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "<a>"},
            {"role": "user", "content": "b"},
        ]
        await send_and_hang_up(http, policy, {**ASK, "messages": going_on, "stream": stream})
        while not policy.cancelled:
            await asyncio.sleep(0.005)
        policy.gate.set()
        assert (await http.post(CHAT, {**ASK, "messages": going_on})).status_code == 200
        assert list(policy.sampled.values()) == [2], "the same session went on"
        await http.reward("one", 1)
        (line,) = http.problems
        assert line == f"499 POST {CHAT}: The client hung up; its call was given up."
        return await http.gateway.episode("one")

    episode = serve(echo, use)
    assert [turn.action for turn in episode.turns] == ["<a>", "<b>"]
    assert episode.turns[1].prompt_start == len(episode.turns[0].prompt_ids) + len(
        episode.turns[0].completion_ids
    )


def test_a_wrong_token() -> None:
    async def use(http: Http, policy: Scripted) -> None:
        for headers in (
            {},
            {"authorization": "Bearer guess"},
            {"x-api-key": "guess"},
            {"authorization": "Basic x"},
        ):
            for path in (CHAT, "/v1/models", "/rollout/one/attempt/1/reward", "/rollout/one/attempt/1"):
                answer = await (
                    http.post(path, ASK, headers=headers) if path != "/v1/models" else http.get(path, headers)
                )
                assert answer.status_code == 401
                assert error_of(answer)["code"] == "invalid_api_key"
        answer = await http.post("/v1/messages", ASK, headers={})
        assert answer.json() == {
            "type": "error",
            "error": {"type": "authentication_error", "message": answer.json()["error"]["message"]},
        }
        assert not policy.requests
        assert "guess" not in " ".join(http.problems)

    serve(echo, use, token="right")


@pytest.mark.parametrize("token", ["", "with space", "ümlaut", "line\nbreak"])
def test_a_token_that_cannot_be_sent(token: str) -> None:
    with pytest.raises(UsageError, match="printable ASCII"):
        Gateway(Scripted(echo), token=token)


def test_an_unknown_model() -> None:
    async def use(http: Http, policy: Scripted) -> None:
        answer = await http.post(CHAT, {**ASK, "model": "polcy"})
        assert (answer.status_code, error_of(answer)["code"]) == (404, "model_not_found")
        assert "Unknown model 'polcy'. Did you mean 'policy'?" in error_of(answer)["message"]

    serve(echo, use)


@pytest.mark.parametrize(
    "path", ["/", "/v1/embeddings", "/rollout/one/attempt/x/v1/models", "/rollout/one/attempt/1/v1"]
)
def test_a_wrong_address(path: str) -> None:
    async def use(http: Http, policy: Scripted) -> None:
        answer = await http.post(path, ASK)
        assert answer.status_code == 404
        assert "chat/completions, responses, messages" in error_of(answer)["message"]

    serve(echo, use)


def test_a_rollout_id_that_would_not_fit_in_a_line() -> None:
    async def use(http: Http, policy: Scripted) -> None:
        answer = await http.post("/rollout/%0Aone/attempt/1/v1/chat/completions", ASK)
        assert answer.status_code == 400
        assert "A rollout's id is" in error_of(answer)["message"]
        await http.post("/%1B%5B2J/%E2%80%AE", ASK)
        assert all(line.isprintable() for line in http.problems)
        assert http.problems[1].startswith("404 POST /\\x1b[2J/\\u202e: There is no")

    serve(echo, use)


def test_rewards_at_the_wrong_time_or_of_the_wrong_kind() -> None:
    async def use(http: Http, policy: Scripted) -> None:
        early = await http.reward("one", 1)
        assert early.status_code == 409
        assert "has no answered call yet" in error_of(early)["message"]
        await http.chat("one", "a")
        for reward, message in (("1", "valid number"), (True, "valid number"), (None, "valid number")):
            wrong = await http.post("/rollout/one/attempt/1/reward", {"reward": reward})
            assert wrong.status_code == 400
            assert message in error_of(wrong)["message"]
        infinite = await http.post("/rollout/one/attempt/1/reward", content=b'{"reward": 1e999}')
        assert "must be a finite number" in error_of(infinite)["message"]
        misspelt = await http.post("/rollout/one/attempt/1/reward", {"reward": 1, "sucess": True})
        assert misspelt.status_code == 400
        assert (await http.reward("one", 1)).status_code == 200
        assert (await http.gateway.episode("one")).score == 1
        twice = await http.reward("one", 0)
        late = await http.chat("one", "a", "<a>", "b")
        for answer, what in ((twice, "reward"), (late, "call")):
            assert answer.status_code == 409
            assert f"Attempt one/1 has ended: this {what} comes too late." in error_of(answer)["message"]
            assert answer.headers["x-should-retry"] == "false"
        assert (await http.gateway.episode("one")).score == 1

    serve(echo, use)


def test_a_reward_ends_the_calls_under_way() -> None:
    async def use(http: Http, policy: Scripted) -> Episode:
        await http.chat("one", "a")
        policy.gate.clear()
        late = asyncio.create_task(http.chat("one", "b"))
        while len(policy.requests) < 2:
            await asyncio.sleep(0.005)
        await http.reward("one", 1)
        assert (await late).status_code == 409
        assert policy.cancelled == 1
        return await http.gateway.episode("one")

    assert len(serve(echo, use).turns) == 1


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (InferenceFault("the device is gone"), 503),
        (ConfigError("the quota is used up"), 503),
        (RuntimeError("a defect"), 500),
    ],
)
def test_a_policy_that_fails_is_an_inference_error_and_never_a_zero(fault: Exception, status: int) -> None:
    async def use(http: Http, policy: Scripted) -> Episode:
        await http.chat("one", "a")
        policy.fault = fault
        failed = await http.chat("one", "a", "<a>", "b")
        assert (failed.status_code, error_of(failed)["type"]) == (status, "server_error")
        assert str(fault) in error_of(failed)["message"]
        assert "x-should-retry" not in failed.headers
        policy.fault = None
        assert (await http.chat("one", "a", "<a>", "something else")).status_code == 200
        answer = await http.reward("one", 0)
        assert answer.json() == {"done": True, "outcome": "inference_error", "score": None, "turns": 2}
        assert len(http.problems) == 1
        return await http.gateway.episode("one")

    episode = serve(echo, use)
    assert (episode.outcome, episode.score, episode.stop_reason) == (
        Outcome.INFERENCE_ERROR,
        None,
        StopReason.ERROR,
    )
    assert str(fault) in (episode.error or "")


def test_a_policy_that_dies_and_returns_costs_nothing_where_the_call_is_repeated() -> None:
    async def use(http: Http, policy: Scripted) -> Episode:
        await http.chat("one", "a")
        policy.fault = InferenceFault("the server is restarting")
        assert (await http.chat("one", "a", "<a>", "b")).status_code == 503
        policy.fault = None
        assert (await http.chat("one", "a", "<a>", "b")).status_code == 200
        assert list(policy.sampled.values()) == [2]
        await http.reward("one", 1)
        return await http.gateway.episode("one")

    episode = serve(echo, use)
    assert (episode.outcome, len(episode.turns)) == (Outcome.SUCCESS, 2)


def test_an_attempt_that_is_left_alone_ends_without_a_score() -> None:
    async def use(http: Http, policy: Scripted) -> Episode:
        await http.chat("one", "a")
        episode = await http.gateway.episode("one")
        assert not policy.sessions
        assert http.problems == ["Attempt one/1 was ended without a score: nothing happened for 0.1 s."]
        return episode

    episode = serve(echo, use, limits=Limits(idle_s=0.1))
    assert (episode.outcome, episode.score, len(episode.turns)) == (Outcome.CANCELLED, None, 1)


def test_a_gateway_that_closes_hands_over_what_it_has() -> None:
    episodes: list[Episode] = []
    abandoned: list[asyncio.Task[httpx2.Response]] = []

    async def use(http: Http, policy: Scripted) -> None:
        await http.chat("done", "a")
        await http.reward("done", 1)
        await http.chat("open", "a")
        policy.gate.clear()
        abandoned.append(asyncio.create_task(http.chat("open", "b")))
        while len(policy.requests) < 3:
            await asyncio.sleep(0.005)

    serve(echo, use, on_episode=episodes.append)
    assert [(episode.id, episode.outcome) for episode in episodes] == [
        ("done/1", Outcome.SUCCESS),
        ("open/1", Outcome.CANCELLED),
    ]


class FullDisk:
    """Takes note of each episode, and keeps none."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def __call__(self, episode: Episode) -> None:
        self.given.append(episode.id)
        raise StoreFault(f"no room for {episode.id}")


def test_episodes_that_cannot_be_kept_are_told_when_everything_has_ended() -> None:
    disk = FullDisk()
    addresses: list[str] = []

    async def use(http: Http, policy: Scripted) -> None:
        addresses.append(http.gateway.url)
        for name in ("one", "two", "three"):
            await http.chat(name, "a")

    with pytest.raises(StoreFault, match="no room for one/1"):
        serve(echo, use, on_episode=disk)
    assert disk.given == ["one/1", "two/1", "three/1"]
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(addresses[0])


def test_idle_attempts_go_on_being_ended_when_their_episodes_cannot_be_kept() -> None:
    disk = FullDisk()

    async def use(http: Http, policy: Scripted) -> None:
        for name in ("one", "two"):
            await http.chat(name, "a")
            await http.gateway.episode(name)
        assert len(http.problems) == 4
        assert "episode of attempt two/1 could not be kept: StoreFault" in http.problems[-1]

    serve(echo, use, limits=Limits(idle_s=0.1), on_episode=disk)
    assert disk.given == ["one/1", "two/1"]


def test_a_reward_whose_episode_cannot_be_kept_does_not_blame_the_policy() -> None:
    disk = FullDisk()

    async def use(http: Http, policy: Scripted) -> None:
        await http.chat("one", "a")
        answer = await http.reward("one", 1)
        error = error_of(answer)
        assert (answer.status_code, error["code"]) == (500, "store_fault")
        assert error["message"].startswith("The episode could not be kept: no room for one/1")
        assert (await http.gateway.episode("one")).outcome is Outcome.SUCCESS

    serve(echo, use, on_episode=disk)
    assert disk.given == ["one/1"]


def test_a_conversation_that_is_too_long() -> None:
    async def use(http: Http, policy: Scripted) -> Episode:
        await http.chat("one", "a")
        policy.full = True
        answer = await http.chat("one", "a", "<a>", "b")
        assert (answer.status_code, error_of(answer)["code"]) == (400, "context_length_exceeded")
        await http.reward("one", 0)
        return await http.gateway.episode("one")

    episode = serve(echo, use)
    assert (episode.outcome, episode.score) == (Outcome.TRUNCATED, 0)
    assert episode.stop_reason is StopReason.CONTEXT_OVERFLOW
    assert episode.turns[-1].truncated


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "nowhere.invalid"}, "Cannot listen on nowhere.invalid"),
        ({"port": 70_000}, "There is no port 70000"),
    ],
)
def test_a_place_where_one_cannot_listen(options: dict[str, Any], message: str) -> None:
    async def enter() -> None:
        async with Gateway(Scripted(echo), **options):
            pass

    with pytest.raises(UsageError, match=message):
        asyncio.run(enter())


def test_a_port_in_use() -> None:
    async def use(http: Http, policy: Scripted) -> None:
        port = int(http.gateway.url.rpartition(":")[2])
        with pytest.raises(UsageError, match=f"Cannot listen on 127.0.0.1, port {port}: .*in use.*--port"):
            async with Gateway(policy, port=port):
                pass

    serve(echo, use)


def test_listening_to_everybody_is_told() -> None:
    async def use(http: Http, policy: Scripted) -> None:
        (line,) = http.problems
        assert "Listening on 0.0.0.0, not on this machine alone" in line

    serve(echo, use, host="0.0.0.0")
