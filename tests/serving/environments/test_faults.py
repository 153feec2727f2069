"""Whatever goes wrong with a client, a connection or an environment ends one session, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import socket as socket_module
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.connection import Connection

import agentgym
from agentgym.agents.scripted import OracleAgent
from agentgym.core.errors import EnvironmentFault, SandboxFault, UsageError
from agentgym.core.task import Split
from agentgym.core.trace import Outcome, StopReason
from agentgym.registry import factory
from agentgym.rollout.collect import collect, plan_groups
from agentgym.rollout.rules import Rules
from agentgym.serving.environments.app import Limits
from agentgym.serving.environments.workshop import Workshop
from tests.rollout.worlds import task
from tests.serving.environments.stand import Stand, served
from tests.serving.environments.worlds import CountingSpec, PaintingSpec
from tests.waiting import eventually

ROOT = Path(__file__).parents[3]


NO_VALUES: list[dict[str, Any]] = [
    {"image/png": "AAAA"},
    {"$array": ["zz", [1], "AA=="]},
    {"$array": ["|u1", [2, 3], "AA=="]},
    {"$array": ["|u1", ["one"], "AA=="]},
    {"$bytes": "AAA"},
    {"$call": {}},
]


def dial(stand: Stand) -> ClientConnection:
    return connect(f"{stand.server.url}/ws", additional_headers={"x-api-key": stand.server.token}, proxy=None)


def asked(socket: Connection, message: Any) -> dict[str, Any]:
    socket.send(message if isinstance(message, str | bytes) else json.dumps(message))
    return json.loads(socket.recv(timeout=60))


def code(answer: dict[str, Any]) -> str:
    assert answer["type"] == "error"
    assert answer["data"]["message"]
    return answer["data"]["code"]


def post(stand: Stand, path: str, body: Any, token: str | None = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {stand.server.token if token is None else token}"}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"{stand.server.url.replace('ws', 'http', 1)}{path}"
    request = urllib.request.Request(url, data if body is not None else None, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_messages_that_are_none_are_refused_and_the_session_goes_on() -> None:
    with served("household") as stand, dial(stand) as socket:
        wrong: list[tuple[Any, str]] = [
            ("no json", "INVALID_JSON"),
            ('{"$array": [1]', "INVALID_JSON"),
            *((json.dumps({"type": "state", "data": {"x": none}}), "INVALID_JSON") for none in NO_VALUES),
            ("[" * 100_000, "INVALID_JSON"),
            ([1], "VALIDATION_ERROR"),
            ({"data": {}}, "VALIDATION_ERROR"),
            ({"type": "rest"}, "UNKNOWN_TYPE"),
            ({"type": 3}, "UNKNOWN_TYPE"),
            ({"type": "reset", "data": [1]}, "VALIDATION_ERROR"),
            ({"type": "reset", "data": {"seed": -1}}, "VALIDATION_ERROR"),
            ({"type": "reset", "data": {"seed": "three"}}, "VALIDATION_ERROR"),
            ({"type": "reset", "data": {"task": {"id": 1}}}, "EXECUTION_ERROR"),
            ({"type": "reset", "data": {"index": 10**9}}, "EXECUTION_ERROR"),
            ({"type": "reset", "more": 1}, "VALIDATION_ERROR"),
            ({"type": "step", "data": {"text": "look"}}, "EXECUTION_ERROR"),
            ({"type": "step", "data": {"text": "look", "more": 1}}, "VALIDATION_ERROR"),
            ({"type": "step", "data": {"type": "call_tool"}}, "VALIDATION_ERROR"),
            ({"type": "restore", "data": {"snapshot": "no bytes"}}, "VALIDATION_ERROR"),
            ({"type": "get_task_range", "data": {"stop": -1}}, "VALIDATION_ERROR"),
        ]
        for message, expected in wrong:
            assert code(asked(socket, message)) == expected, message
        assert "Did you mean 'reset'" in asked(socket, {"type": "rest"})["data"]["message"]
        first = asked(socket, {"type": "reset", "data": {"split": "select", "index": 5, "unknown": 1}})
        assert first["data"]["observation"]["metadata"]["task"]["split"] == "select"
        assert asked(socket, b'{"type": "state"}')["data"]["step_count"] == 0
    assert stand.problems == []


def test_the_http_side_is_openenvs() -> None:
    with served("household", limits=Limits(sessions=1, message_bytes=1000)) as stand:
        assert post(stand, "/health", None, token="") == (200, {"status": "healthy"})
        for path in ("/metadata", "/schema", "/state", "/reset", "/step"):
            status, refused = post(stand, path, {} if path in ("/reset", "/step") else None, token="wrong")
            assert (status, refused["detail"]["code"]) == (401, "invalid_api_key"), path
        assert post(stand, "/metadata", None)[1]["name"] == "household"
        assert post(stand, "/schema", None)[1]["action"]["required"] == ["text"]
        assert post(stand, "/state", None) == (200, {"episode_id": None, "step_count": 0})
        task = {"task": "train-easy-place-0001"}
        status, first = post(stand, "/reset", task)
        assert (status, first["done"], sorted(first)) == (200, False, ["done", "observation", "reward"])
        status, step = post(stand, "/step", {"action": {"text": "inventory"}, **task})
        assert (status, step["observation"]["text"]) == (200, "You are not carrying anything.")
        assert post(stand, "/step", {"action": {"texts": "inventory"}})[0] == 422
        assert post(stand, "/step", {})[0] == 422
        assert post(stand, "/reset", {"seed": -1})[0] == 422
        assert post(stand, "/reset", b"nonsense")[0] == 400
        assert post(stand, "/reset", b"[" * 2000)[0] == 413
        with dial(stand) as socket:
            assert asked(socket, {"type": "state"})["type"] == "state"
            assert post(stand, "/reset", {})[1]["detail"]["code"] == "CAPACITY_REACHED"
        assert stand.empty()
        assert post(stand, "/reset", {})[0] == 200


def test_a_token_is_wanted_in_one_of_three_ways() -> None:
    with served("household") as stand:
        basic = base64.b64encode(f"any:{stand.server.token}".encode()).decode()
        for good in ({"x-api-key": stand.server.token}, {"Authorization": f"Basic {basic}"}):
            with connect(f"{stand.server.url}/ws", additional_headers=good, proxy=None) as socket:
                assert asked(socket, {"type": "state"})["type"] == "state"
        for bad in ({}, {"Authorization": "Basic !"}, {"Authorization": "Bearer wrong"}, {"x-api-key": "é"}):
            with pytest.raises(InvalidStatus, match="401"):
                connect(f"{stand.server.url}/ws", additional_headers=bad, proxy=None)
        with pytest.raises(UsageError, match="wants its token") as error:
            agentgym.make(stand.server.url.replace("//", "//:a-wrong-one@"))
        assert "a-wrong-one" not in str(error.value)
        assert stand.server.sessions == 0


def test_beyond_its_capacity_clients_are_told_and_a_place_that_is_free_again_is_given() -> None:
    with served("household", limits=Limits(sessions=2)) as stand:
        first, second = agentgym.make(stand.url), dial(stand)
        assert asked(second, {"type": "state"})["type"] == "state"
        with dial(stand) as third:
            told = json.loads(third.recv(timeout=60))
            assert (code(told), told["data"]["active_sessions"], told["data"]["max_sessions"]) == (
                "CAPACITY_REACHED",
                2,
                2,
            )
            with pytest.raises(ConnectionClosed):
                third.recv(timeout=60)
        with pytest.raises(UsageError, match="at capacity"):
            agentgym.make(stand.url)
        first.close()
        agentgym.make(stand.url).close()
        second.close()
        assert stand.empty()


def test_tasks_are_listed_while_the_only_session_is_played() -> None:
    with served("household", limits=Limits(sessions=1)) as stand:
        env = agentgym.make(stand.url)
        env.reset(seed=0)
        tasks = env.suite.tasks("heldout")
        assert tasks[0].split == "heldout"
        assert env.step("look")[4]["valid"]
        env.close()
        assert env.suite.tasks("select")[0].split == "select", "after the session's end as well"
        assert stand.empty()


def test_idle_sessions_and_messages_too_large_end_the_session() -> None:
    with served("household", limits=Limits(idle_s=3.0, message_bytes=2000)) as stand:
        env = agentgym.make(stand.url)
        assert stand.empty()
        with pytest.raises(EnvironmentFault, match="nothing was asked for 3 s"):
            env.reset(seed=0)
        assert "nothing was asked" in stand.problems[0]
        assert env.reset(seed=0)[1]["valid"], "a reset begins another session"
        with pytest.raises(EnvironmentFault, match="ended the session"):
            env.step("x" * 3000)
        assert stand.empty()
        env.close()


def test_a_client_that_does_not_read_is_cut_off() -> None:
    with served("household", limits=Limits(send_s=0.3)) as stand:
        socket = dial(stand)
        raw = socket.socket
        raw.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_RCVBUF, 4096)
        assert asked(socket, {"type": "open", "data": {}})["type"] == "open"
        question = json.dumps({"type": "get_task_range", "data": {"stop": 2000}})
        with suppress(ConnectionClosed):  # where it is cut off that soon
            for _ in range(64):  # each answer has about half a megabyte
                socket.send(question)
        assert stand.empty()
        socket.close()


def test_clients_that_vanish_free_their_places() -> None:
    with served(CountingSpec()) as stand:
        sockets = [dial(stand) for _ in range(4)]
        waiting = task("fine", latency_s=60.0).to_json()
        for one in sockets:
            assert asked(one, {"type": "reset", "data": {"task": waiting}})["type"] == "observation"
        for one in sockets[2:]:  # in the middle of a step
            one.send(json.dumps({"type": "step", "data": {"text": "count"}}))
        assert stand.server.sessions == 4
        for one in sockets[::2]:  # without a word; the others by a reset of the connection
            one.socket.shutdown(socket_module.SHUT_RDWR)
        for one in sockets[1::2]:
            one.socket.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_LINGER, struct.pack("ii", 1, 0))
            one.socket.shutdown(socket_module.SHUT_RD)
        assert stand.empty()


def test_half_a_handshake_and_half_a_message_hold_nothing() -> None:
    with served("household", limits=Limits(idle_s=0.2)) as stand:
        place = ("127.0.0.1", int(stand.server.url.rpartition(":")[2]))
        with socket_module.create_connection(place) as one, socket_module.create_connection(place) as other:
            one.sendall(b"GET /ws HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n")
            key = "x-api-key: " + stand.server.token
            lines = ["GET /ws HTTP/1.1", "Host: here", "Upgrade: websocket", "Connection: Upgrade", key]
            lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
            other.sendall("\r\n".join(lines).encode())
            assert other.recv(12) == b"HTTP/1.1 101"
            other.sendall(b"\x81\xfe")  # a frame's beginning
            assert eventually(lambda: any("nothing was asked" in line for line in stand.problems))
            assert stand.empty()


@pytest.mark.parametrize("stepping", ["inline", "thread", "process"])
def test_what_goes_wrong_in_an_environment_is_told_and_is_no_reward(stepping: str) -> None:
    faults = [
        "raises",
        "no sandbox",
        "nan",
        "info",
        "stops",
        "leaves",
        *(["dies"] if stepping == "process" else []),
    ]
    with served(CountingSpec(), options={"stepping": stepping}) as stand:
        for fault in faults:
            env = agentgym.make(stand.url)
            env.reset(seed=0, options={"task": task(fault)})
            env.step("one")
            env.step("two")
            with pytest.raises(SandboxFault if fault == "no sandbox" else EnvironmentFault):
                env.step("three")
            env.reset(seed=0, options={"task": task("fine")})
            assert [env.step("count")[2] for _ in range(4)] == [False, False, False, True]
            env.close()
        assert stand.empty()
        assert len(stand.problems) == len(faults)


def test_an_environment_that_hangs_is_left_behind() -> None:
    with served(CountingSpec(), limits=Limits(call_s=3.0)) as stand:
        env = agentgym.make(stand.url, split="select")
        env.reset(seed=0, options={"task": task("hangs")})
        env.step("one")
        env.step("two")
        with pytest.raises(EnvironmentFault, match="took longer than 3 s"):
            env.step("three")
        env.reset(seed=0, options={"task": task("fine")})
        assert env.step("count")[4]["valid"]
        env.close()
        assert stand.empty()


def test_episodes_on_a_server_that_dies_have_no_score() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "agentgym.cli", "serve", "household", "--token", "mine"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1].replace("//", "//:mine@")
    make_env = factory(url)
    env = make_env()
    tasks = [env.suite.tasks("train")[place] for place in range(8)]
    env.close()

    ended: list[Any] = []

    def count(episode: Any) -> None:
        ended.append(episode)
        if len(ended) == 2:
            process.send_signal(signal.SIGKILL)

    episodes = asyncio.run(
        collect(
            plan_groups(tasks, 1, label="l", seed=0),
            OracleAgent(),
            make_env,
            concurrency=2,
            max_turns=50,
            on_episode=count,
            rules=Rules(retries=0),
        )
    )
    process.communicate()
    outcomes = {episode.outcome for episode in episodes}
    assert Outcome.SUCCESS in outcomes
    assert outcomes <= {Outcome.SUCCESS, Outcome.ENV_ERROR}
    lost = [episode for episode in episodes if episode.outcome is Outcome.ENV_ERROR]
    assert len(lost) >= 4
    assert {(episode.score, episode.stop_reason) for episode in lost} == {(None, StopReason.ERROR)}


def test_options_that_name_a_path_are_the_servers_to_choose() -> None:
    from agentgym.registry import find_spec

    workshop = Workshop(PaintingSpec(), Split.TRAIN, {}, 1.0)
    workshop.spec = find_spec("alfworld")
    with pytest.raises(UsageError, match="names a path on the server's machine"):
        workshop.other(Split.TRAIN, {"data": "/etc"})
