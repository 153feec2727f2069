"""`vllm serve` behind `EndpointPolicy`."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from agentgym.core.errors import ConfigError
from agentgym.core.message import Message
from agentgym.core.policy import FinishReason, GenerationRequest, Sampling
from agentgym.policies.endpoint import EndpointPolicy, EndpointSettings
from tests.policies.conftest import SENTENCES, full_logprobs
from tests.policies.conversations import opening

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default")]

KEY = "vllm-test-key"


@pytest.fixture(scope="module")
def url(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A server with the tiny model, called `tiny`, and a key."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--host", "127.0.0.1", "--port", str(port), "--model", str(saved), "--served-model-name", "tiny"]
    words += [
        "--dtype",
        "float32",
        "--enforce-eager",
        "--api-key",
        KEY,
        "--kv-cache-memory-bytes",
        str(2**27),
    ]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *words],
            env={**os.environ, "VLLM_CPU_OMP_THREADS_BIND": "nobind"},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 1200  # vLLM takes its time on a busy machine
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert server.poll() is None, log.read_text("utf-8")[-4000:]
                assert time.monotonic() < deadline, log.read_text("utf-8")[-4000:]
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture
def policy(url: str, monkeypatch: pytest.MonkeyPatch) -> EndpointPolicy:
    monkeypatch.setenv("VLLM_KEY", KEY)
    return EndpointPolicy(EndpointSettings(url=url, api_key_env="VLLM_KEY"))


def test_its_tokens_can_be_trained_on(policy: EndpointPolicy, model: PreTrainedModel) -> None:
    """Their log-probabilities are the model's, and growing conversations tell only what is new."""

    async def conversation(index: int) -> None:
        messages, ids = opening(index), list[int]()
        for turn in range(3):
            request = GenerationRequest(f"s{index}", tuple(messages), Sampling(1.0, 1.0, 12), seed=index)
            (completion,) = await policy.generate([request])
            context = [*ids[: completion.prompt_start], *completion.prompt_ids.tolist()]
            sampled = completion.completion_ids.tolist()
            assert 0 < len(sampled) == len(completion.logprobs)
            wanted = full_logprobs(model, context, sampled)
            assert abs(wanted - completion.logprobs).max() < 1e-4
            ids = [*context, *sampled]
            messages += [Message("assistant", completion.text), Message("user", SENTENCES[turn])]

    async def together() -> None:
        await asyncio.gather(*(conversation(index) for index in range(4)))

    asyncio.run(together())
    assert policy.model == "tiny"
    assert policy.usage.requests == 12
    assert policy.usage.completion_tokens > 0


def test_the_seed_decides_the_sample(policy: EndpointPolicy) -> None:
    def answer(session: str, seed: int) -> list[int]:
        request = GenerationRequest(session, tuple(opening(1)), Sampling(1.0, 1.0, 12), seed)
        return asyncio.run(policy.generate([request]))[0].completion_ids.tolist()

    assert answer("a", 1) == answer("b", 1) != answer("c", 2)


@pytest.mark.parametrize("repeated", [100, 490])
def test_a_conversation_that_is_too_long(policy: EndpointPolicy, repeated: int) -> None:
    messages = (Message("user", "You arrive at cabinet 3. " * repeated),)
    request = GenerationRequest("s", messages, Sampling(1.0, 1.0, 64))
    (completion,) = asyncio.run(policy.generate([request]))
    assert (completion.finish_reason, completion.text) == (FinishReason.CONTEXT, "")


def test_a_wrong_key_and_a_wrong_model(url: str, policy: EndpointPolicy) -> None:
    request = GenerationRequest("s", tuple(opening(1)))
    unkeyed = EndpointPolicy(EndpointSettings(url=url, api_key_env="NO_SUCH_KEY"))
    with pytest.raises(ConfigError, match="wants an API key"):
        asyncio.run(unkeyed.generate([request]))
    misnamed = EndpointPolicy(EndpointSettings(url=url, api_key_env="VLLM_KEY", model="tinny"))
    with pytest.raises(ConfigError, match=r"Unknown model 'tinny' at .*Did you mean 'tiny'\?"):
        asyncio.run(misnamed.generate([request]))
