"""`agentgym eval` with models behind a URL."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from agentgym.evaluation.report import Evaluation
from tests.cli.driver import Cli
from tests.policies.chat_api import ChatApi, Reply, error

SECRET = "sk-test-0123456789abcdef"


def first_choice(body: dict[str, Any]) -> str:
    """Takes the first of the actions that the observation lists."""
    listed = str(body["messages"][-1]["content"]).rpartition("You can: ")[2]
    return f"<think>Why not.</think><action>{listed.partition(',')[0]}</action>"


@pytest.fixture
def api() -> Generator[ChatApi]:
    with ChatApi(first_choice) as api:
        yield api


def test_a_model_plays_and_its_cost_is_told(api: ChatApi, cli: Cli) -> None:
    words = ["--episodes", "2", "--max-turns", "3", "--prices", "1,10", "--out", "e.json"]
    done = cli("eval", "household", "--policy", api.url, "--against", "random", *words)
    assert (done.code, done.err) == (0, "")
    assert "tiny on agentgym/Household-v0, heldout tasks" in done.out
    assert "random -> tiny" in done.out
    evaluation = Evaluation.load("e.json")
    assert sum(result.turns for result in evaluation.results) == len(api.chats) == 12
    assert all(result.invalid_turns == 0 for result in evaluation.results)
    (line,) = [line for line in done.out.splitlines() if line.startswith("tiny: ")]
    assert line.startswith("tiny: 12 requests, ")
    assert "completion tokens, cost 0.0" in done.out


def test_the_agent_around_a_model_can_be_chosen(api: ChatApi, cli: Cli) -> None:
    words = ["--policy", api.url, "--episodes", "1", "--max-turns", "2"]
    assert cli("eval", "household", *words, "--agent", "planner").code == 0
    modules = [str(body["messages"][-1]["content"]).partition("As the ")[2] for body in api.chats]
    assert sorted({module.partition(",")[0] for module in modules}) == ["executor", "planner", "verifier"]
    api.chats.clear()
    assert cli("eval", "household", *words, "--agent", "react").code == 0
    assert str(api.chats[-1]["messages"][-1]["content"]).startswith("Observation: ")


def test_two_models_of_one_server(api: ChatApi, cli: Cli) -> None:
    api.models = ["small", "large"]
    words = ["--policy", api.url, "--model", "large", "--against", api.url, "--against-model", "small"]
    done = cli("eval", "household", *words, "--episodes", "1", "--max-turns", "1", "--max-tokens", "40")
    assert done.code == 0
    assert "small -> large" in done.out
    assert {(body["model"], body["max_tokens"]) for body in api.chats} == {("small", 40), ("large", 40)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "tinny"], "Unknown model 'tinny' at {url}. Did you mean 'tiny'?"),
        (["--api-key-env", "MY_KEY"], "{url} refuses the API key in MY_KEY (HTTP 401)"),
        (["--api-key-env", "NO_SUCH_KEY"], "{url} wants an API key (HTTP 401); set NO_SUCH_KEY."),
    ],
)
def test_what_the_server_refuses(
    words: list[str], message: str, api: ChatApi, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    api.key = "another" if "--api-key-env" in words else ""
    done = cli("eval", "household", "--policy", api.url, "--episodes", "1", *words)
    assert done.code == 2
    assert message.format(url=api.url) in " ".join(done.err.split())
    assert SECRET not in done.out + done.err


def test_the_wrong_path_of_a_server(api: ChatApi, cli: Cli) -> None:
    done = cli("eval", "household", "--policy", api.url.removesuffix("/v1"), "--episodes", "1")
    assert done.code == 2
    assert f"Did you mean {api.url}?" in " ".join(done.err.split())


def test_requests_that_fail_for_good_are_left_out(api: ChatApi, cli: Cli) -> None:
    """A refusal of one conversation loses its episode, and not the others."""

    def answer(body: dict[str, Any]) -> str | Reply:
        opening, refused = body["messages"][1], api.chats[0]["messages"][1]
        if len(body["messages"]) > 2 and opening == refused:
            return error(400, "This content is not allowed.")
        return first_choice(body)

    api.answer = answer
    done = cli("eval", "household", "--policy", api.url, "--episodes", "2", "--max-turns", "2")
    assert done.code == 0
    assert "1 of 4 episodes have no score (inference_error 1)" in done.out
