"""Servers that fail, refuse, or go away: what is tried again, what it is called, and who is to blame."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from agentgym.agents.chat import ChatAgent
from agentgym.agents.scripted import OracleAgent
from agentgym.core.errors import ConfigError, InferenceFault, UsageError
from agentgym.core.message import Message
from agentgym.core.policy import Completion, FinishReason, GenerationRequest
from agentgym.core.trace import Episode, Outcome
from agentgym.policies.endpoint import EndpointPolicy, EndpointSettings
from agentgym.policies.refusals import Meaning, read_refusal
from agentgym.registry import make
from agentgym.rollout.collect import collect, plan_groups
from tests.policies.chat_api import ChatApi, Reply, error

SECRET = "sk-test-0123456789abcdef"
ASKED = GenerationRequest("s", (Message("user", "You see a desk 1."),), seed=3)


@pytest.fixture
def api() -> Generator[ChatApi]:
    with ChatApi() as api:
        yield api


def policy_of(api: ChatApi, **settings: Any) -> EndpointPolicy:
    quick: dict[str, Any] = {
        "first_wait_s": 0.002,
        "patience_s": 60.0,
        "api_key_env": "NO_SUCH_KEY",
        "url": api.url,
        **settings,
    }
    return EndpointPolicy(EndpointSettings(**quick))


def ask(policy: EndpointPolicy, request: GenerationRequest = ASKED) -> Completion:
    return asyncio.run(policy.generate([request]))[0]


PASSING = {
    "too many requests": error(429, "Slow down."),
    "too many requests, with a time": error(429, "Slow down.", {"Retry-After": "0.01"}),
    "a failure of the server": error(500, "Something broke."),
    "a proxy without a server": Reply(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"}),
    "a restart": error(503, "Loading the model."),
    "cut before the headers end": Reply(body=b"", cut=0, headers={"Content-Length": "10"}),
    "cut in mid-body": Reply(body=b'{"choices": [{"message": ', cut=12),
    "malformed JSON": Reply(body=b'{"choices": ['),
    "another JSON": Reply(body=b'{"hello": "world"}'),
    "no JSON": Reply(body=b"<html></html>", headers={"Content-Type": "text/html"}),
    "not UTF-8": Reply(body=b'{"choices": "\xff"}'),
}


@pytest.mark.parametrize("kind", PASSING)
def test_what_passes_is_tried_again(api: ChatApi, kind: str) -> None:
    api.script.extend([PASSING[kind], PASSING[kind]])
    policy = policy_of(api)
    assert ask(policy).text == "go to desk 1"
    assert (len(api.chats), policy.usage.retries, policy.usage.requests) == (3, 2, 1)
    assert api.chats[0] == api.chats[2]


@pytest.mark.parametrize("kind", PASSING)
def test_what_does_not_pass_is_a_fault_that_tells_it(api: ChatApi, kind: str) -> None:
    api.script.extend([PASSING[kind]] * 50)
    with pytest.raises(
        InferenceFault, match=r"gave no completion in \d+ attempts?; the last met .*patience_s"
    ):
        ask(policy_of(api, patience_s=0.02))
    assert len(api.chats) > 1


def test_a_server_that_says_nothing_is_given_up_and_asked_again(api: ChatApi) -> None:
    api.script.append(Reply(silent=True))
    policy = policy_of(api, attempt_timeout_s=3.0)
    assert ask(policy).text == "go to desk 1"
    assert policy.usage.retries >= 1
    api.script.extend([Reply(silent=True)] * 50)
    with pytest.raises(InferenceFault, match="met no answer within 3 s"):
        ask(policy_of(api, attempt_timeout_s=3.0, patience_s=0.0))


def test_a_request_may_have_a_time_limit_of_its_own(api: ChatApi) -> None:
    policy = policy_of(api)
    before = ask(policy)
    api.script.append(Reply(silent=True))
    with pytest.raises(InferenceFault, match=r"'s': .* gave no completion within 0\.2 s"):
        ask(policy, GenerationRequest("s", ASKED.messages, timeout_s=0.2))
    api.script.clear()  # where the machine is busy the request has not come so far
    longer = (*ASKED.messages, Message("assistant", before.text), Message("user", "On it, you see a mug 1."))
    after = ask(policy, GenerationRequest("s", longer, timeout_s=60))
    assert after.prompt_start == len(before.prompt_ids) + len(before.completion_ids)  # as it was before


def test_retry_after_is_honoured_for_everybody(api: ChatApi) -> None:
    api.script.append(error(429, "Slow down.", {"Retry-After": "0.3"}))
    policy = policy_of(api, concurrency=1)
    requests = [GenerationRequest(f"s{number}", ASKED.messages) for number in range(4)]
    begun = time.monotonic()
    assert len(asyncio.run(policy.generate(requests))) == 4
    assert time.monotonic() - begun >= 0.3
    assert len(api.chats) == 5


def test_more_patience_than_there_is_asks_nobody_again(api: ChatApi) -> None:
    api.script.append(error(429, "Slow down.", {"Retry-After": "3600"}))
    with pytest.raises(InferenceFault, match=r"in 1 attempt; .* asking to be left alone for 3600 s"):
        ask(policy_of(api))


def test_retry_after_may_be_a_date() -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    refusal = read_refusal(503, {"message": "Later."}, {"retry-after": when}, "")
    assert refusal.meaning is Meaning.AGAIN
    assert 90 < refusal.retry_after_s <= 100
    assert read_refusal(503, None, {"retry-after": "soon"}, "").retry_after_s == 0


def test_a_wrong_key_is_refused_and_not_shown(
    api: ChatApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    api.key = "sk-another"
    monkeypatch.setenv("MY_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    policy = policy_of(api, api_key_env="MY_KEY", model="tiny")
    with pytest.raises(ConfigError, match=r"refuses the API key in MY_KEY \(HTTP 401\)") as caught:
        ask(policy)
    shown = "".join(traceback.format_exception(caught.value)) + repr(policy) + str(policy) + caplog.text
    assert SECRET not in shown
    assert SECRET[:12] not in shown
    assert api.seen[0].headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("status", [400, 500])
def test_a_key_that_a_server_repeats_is_left_out(
    api: ChatApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    api.script.extend([error(status, f"Got header 'Bearer {SECRET}'.")] * 50)
    with pytest.raises((ConfigError, InferenceFault), match=r"Got header 'Bearer \[key\]'") as caught:
        ask(policy_of(api, api_key_env="MY_KEY", patience_s=0.0))
    assert SECRET not in "".join(traceback.format_exception(caught.value)) + caplog.text


def test_a_missing_key_says_where_to_put_it(api: ChatApi) -> None:
    api.key = SECRET
    with pytest.raises(ConfigError, match=r"wants an API key \(HTTP 401\); set NO_SUCH_KEY"):
        ask(policy_of(api))


@pytest.mark.parametrize("key", ["sk-two\nlines", "sk-ключ", "two words", "tab\tkey"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(ConfigError, match="MY_KEY holds no API key") as caught:
        EndpointPolicy(EndpointSettings(api_key_env="MY_KEY"))
    assert key not in str(caught.value)


def test_an_unknown_model(api: ChatApi) -> None:
    api.models = ["small-instruct", "large-instruct"]
    with pytest.raises(
        ConfigError, match=r"'smal-instruct' at .*Did you mean 'small-instruct'\? Known: small"
    ):
        ask(policy_of(api, model="smal-instruct"))
    with pytest.raises(ConfigError, match="serves 2 models; name one: small-instruct, large-instruct"):
        ask(policy_of(api))
    api.models = []
    with pytest.raises(ConfigError, match="lists no models"):
        ask(policy_of(api))


def test_a_wrong_address(api: ChatApi) -> None:
    root = api.url.removesuffix("/v1")
    with pytest.raises(ConfigError, match=f"Did you mean {api.url}"):
        ask(policy_of(api, url=root))
    with pytest.raises(ConfigError, match=r"no OpenAI-compatible API at .*/v2"):
        ask(policy_of(api, url=f"{root}/v2", model="tiny"))
    api.stop()
    with pytest.raises(ConfigError, match=r"No OpenAI-compatible API answers at .*: a failed connection"):
        ask(policy_of(api))


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8000", "ftp://127.0.0.1/v1", "http://", "http://me:pw@127.0.0.1/v1", "http://h/v1?key=x"],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="address") as caught:
        EndpointPolicy(EndpointSettings(url=url))
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "refusal",
    [
        error(400, "Too long.", code="context_length_exceeded"),
        error(400, "This model's maximum context length is 512 tokens. However, you requested 600."),
        error(400, "The decoder prompt (length 700) is longer than the maximum model length of 512."),
        error(400, "the request exceeds the available context size", type="exceed_context_size_error"),
        error(413, "Too many tokens."),
    ],
)
def test_a_conversation_that_is_too_long(api: ChatApi, refusal: Reply) -> None:
    api.script.append(refusal)
    completion = ask(policy_of(api))
    assert (completion.finish_reason, completion.text) == (FinishReason.CONTEXT, "")
    assert len(completion.completion_ids) == 0


def test_who_is_to_blame_for_a_request_that_is_refused(api: ChatApi) -> None:
    """Where no request was ever taken, the settings do not fit; where others were, it is this one."""
    refused = error(400, "temperature is not supported by this model.")
    api.script.append(refused)
    policy = policy_of(api)
    with pytest.raises(
        ConfigError, match="does not take such requests: HTTP 400: temperature is not supported"
    ):
        ask(policy)
    ask(policy)
    api.script.append(refused)
    with pytest.raises(InferenceFault, match="does not take this request: HTTP 400"):
        ask(policy)


def test_an_empty_account_is_not_asked_again(api: ChatApi) -> None:
    api.script.append(error(429, "You exceeded your current quota.", code="insufficient_quota"))
    with pytest.raises(ConfigError, match="no quota left for the key in NO_SUCH_KEY"):
        ask(policy_of(api))
    assert len(api.chats) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"concurrency": 0},
        {"requests_per_minute": 0},
        {"attempt_timeout_s": 0},
        {"patience_s": -1},
        {"first_wait_s": 0},
    ],
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"at least 1|above 0"):
        EndpointSettings(**settings)


def test_what_cannot_be_written_is_a_fault_at_once(api: ChatApi) -> None:
    policy = policy_of(api)
    with pytest.raises(InferenceFault, match="UTF-8 cannot write"):
        ask(policy, GenerationRequest("s", (Message("user", "a \ud83d b"),)))
    assert policy.usage.retries == 0


def play(api: ChatApi, on_episode: Any = None, **settings: Any) -> list[Episode]:
    """Eight episodes of one household task, four at a time, whose answers are the oracle's."""
    suite = make("household").suite
    plans = plan_groups([suite.tasks("train")[0]], 8, label="l", seed=0)
    (solved,) = asyncio.run(
        collect(plans[:1], OracleAgent(), lambda: make("household"), concurrency=1, max_turns=50)
    )
    actions = [str(turn.action) for turn in solved.turns]
    api.answer = lambda body: actions[sum(said["role"] == "assistant" for said in body["messages"])]
    agent = ChatAgent(policy_of(api, **settings))
    return asyncio.run(
        collect(plans, agent, lambda: make("household"), concurrency=4, max_turns=50, on_episode=on_episode)
    )


def test_episodes_through_a_server_end_to_end(api: ChatApi) -> None:
    api.script.extend([None, error(429, "Slow down."), None, error(500, "Oh."), Reply(body=b"{}", cut=1)])
    for episode in play(api):
        assert episode.outcome is Outcome.SUCCESS
        ids: list[int] = []
        for turn in episode.turns:
            ids = [*ids[: turn.prompt_start], *turn.prompt_ids, *turn.completion_ids]
            assert turn.loss_mask.all()
            assert len(turn.loss_mask) == len(turn.logprobs) == len(turn.completion_ids)
        assert len(ids) == sum(len(turn.prompt_ids) + len(turn.completion_ids) for turn in episode.turns)


def test_a_server_that_dies_and_returns_costs_no_episode(api: ChatApi) -> None:
    def restart(_: Episode) -> None:
        if not restarts:
            restarts.append(len(api.chats))
            api.stop()
            asyncio.get_running_loop().call_later(0.1, api.start)

    restarts: list[int] = []
    episodes = play(api, restart)
    assert restarts
    assert [episode.outcome for episode in episodes] == [Outcome.SUCCESS] * 8


def test_a_server_that_dies_for_good_leaves_no_scores(api: ChatApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    ended: list[Episode] = []

    def stop(episode: Episode) -> None:
        ended.append(episode)
        api.stop()

    episodes = play(api, stop, patience_s=0.01, api_key_env="MY_KEY")
    lost = [episode for episode in episodes if episode.outcome is not Outcome.SUCCESS]
    assert len(lost) >= 4
    for episode in lost:
        assert (episode.outcome, episode.score) == (Outcome.INFERENCE_ERROR, None)
        assert "gave no completion" in (episode.error or "")
        assert SECRET not in repr(episode)
