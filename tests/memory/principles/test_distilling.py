import asyncio

import pytest

from agentgym.core.trace import Outcome
from agentgym.memory.principles.distilling import Advice, Draft, PolicyDistiller, read_draft
from agentgym.memory.transcripts import Transcript
from agentgym.policies.endpoint import EndpointPolicy, EndpointSettings
from tests.agents.playing import Parrot
from tests.memory.episodes import ANSWER, episode
from tests.policies.chat_api import ChatApi

GOOD = Transcript.of(episode())
BAD = Transcript.of(episode("e2", ["eat apple 1"], outcome=Outcome.FAILURE))
SAID = '{"advice": "guiding", "rule": "Open it first."}'


def prompt(*transcripts: Transcript) -> str:
    policy = Parrot(SAID)
    drafts = asyncio.run(PolicyDistiller(policy).distil(transcripts))
    assert drafts == [Draft(Advice.GUIDING, "Open it first.")]
    assert policy.ended == [policy.requests[0].session_id]
    (message,) = policy.requests[0].messages
    return message.content


def test_successes_failures_and_contrasts_are_asked_about_differently() -> None:
    prompts = [prompt(GOOD), prompt(BAD), prompt(BAD, GOOD)]
    assert "What rule did it follow" in prompts[0]
    assert "beware of" in prompts[1]
    assert "What made the difference" in prompts[2]
    assert "> open fridge 1" in prompts[0]
    assert prompts[2].index("open fridge 1") < prompts[2].index("eat apple 1")
    assert ANSWER not in "".join(prompts)


@pytest.mark.parametrize(
    "answer",
    ["", "{}", "nothing", "{", '{"advice": "other", "rule": "x"}', '{"advice": "guiding", "rule": " "}',
     '{"advice": "guiding", "rule": 3}', "[1]", '{"advice": ["guiding"], "rule": "x"}', "{" * 5000 + "}" * 5000],
)  # fmt: skip
def test_answers_that_hold_no_principle(answer: str) -> None:
    assert read_draft(answer) is None
    assert asyncio.run(PolicyDistiller(Parrot(answer)).distil([GOOD])) == []


def test_nothing_is_asked_about_no_episodes() -> None:
    assert asyncio.run(PolicyDistiller(Parrot()).distil([])) == []


def test_a_judgement_is_a_yes() -> None:
    distiller = PolicyDistiller(Parrot("Yes.", "no", "maybe yes"))
    assert [asyncio.run(distiller.same("a", "b")) for _ in range(3)] == [True, False, False]


def test_any_endpoint_can_distil() -> None:
    with ChatApi(lambda body: SAID) as api:
        policy = EndpointPolicy(EndpointSettings(url=api.url, model="tiny", patience_s=0))
        drafts = asyncio.run(PolicyDistiller(policy).distil([GOOD]))
    assert drafts == [Draft(Advice.GUIDING, "Open it first.")]
