"""Collecting episodes of external agents: whose failure is whose, limits of time, and programs as agents."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from agentgym.agents.external import Assignment, ExternalAgent, ProgramAgent, Verdict
from agentgym.core.errors import EnvironmentFault, InferenceFault, SandboxFault, StoreFault, UsageError
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode, Outcome, StopReason
from agentgym.rollout.collect import EpisodePlan, plan_groups
from agentgym.serving.gateway import Gateway
from agentgym.serving.play import play_external
from agentgym.training.turns import TurnTable
from tests.serving.desk import Http, Scripted, echo, serve
from tests.waiting import eventually

TASKS = [Task(name, "test/Words-v0", Split.TRAIN) for name in ("a", "b")]
PLANS = plan_groups(TASKS, 3, label="train-000001", seed=0)

PROGRAM = """
import os, openai
client = openai.OpenAI()
model = os.environ["AGENTGYM_MODEL"]
answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hello"}])
print(answer.choices[0].message.content)
"""


def call(assignment: Assignment, text: str) -> str:
    """Call the model once, as a program in another thread would."""
    with openai.OpenAI(base_url=assignment.base_url, api_key=assignment.token, max_retries=0) as api:
        asked = [{"role": "user", "content": text}]
        answer = api.chat.completions.create(model=assignment.model, messages=asked)  # pyright: ignore
    return answer.choices[0].message.content or ""


def collected(agent: ExternalAgent, plans: list[EpisodePlan] = PLANS, **options: Any) -> list[Episode]:
    async def use(http: Http, policy: Scripted) -> list[Episode]:
        return await play_external(plans, agent, http.gateway, concurrency=4, **options)

    return serve(echo, use)


def one(agent: ExternalAgent, **options: Any) -> Episode:
    (episode,) = collected(agent, PLANS[:1], **options)
    return episode


def test_groups_come_in_the_order_of_the_plans_and_can_be_credited() -> None:
    def agent(assignment: Assignment) -> Verdict:
        said = call(assignment, f"{assignment.task.id} {assignment.seed % 2}")
        return Verdict(float(said.endswith("1>")))

    episodes = collected(agent)
    assert [episode.id for episode in episodes] == [plan.episode_id for plan in PLANS]
    assert [episode.group_id for episode in episodes] == [plan.group_id for plan in PLANS]
    assert [episode.success for episode in episodes] == [plan.seed % 2 == 1 for plan in PLANS]
    turns = TurnTable.from_episodes(episodes)
    assert turns.group_T.tolist() == [0, 0, 0, 1, 1, 1]
    assert turns.score_T.tolist() == [float(plan.seed % 2) for plan in PLANS]


def raising(error: Exception) -> Callable[[Assignment], Verdict]:
    def agent(assignment: Assignment) -> Verdict:
        call(assignment, "hello")
        raise error

    return agent


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("a defect of the agent"), Outcome.AGENT_ERROR),
        (EnvironmentFault("its world broke"), Outcome.ENV_ERROR),
        (SandboxFault("its sandbox broke"), Outcome.SANDBOX_ERROR),
        (InferenceFault("its model broke"), Outcome.INFERENCE_ERROR),
    ],
)
def test_what_an_agent_raises_ends_its_episode_alone(error: Exception, outcome: Outcome) -> None:
    episode = one(raising(error))
    assert (episode.outcome, episode.stop_reason) == (outcome, StopReason.ERROR)
    assert episode.score == (0.0 if outcome is Outcome.AGENT_ERROR else None)
    assert str(error) in (episode.error or "")
    assert len(episode.turns) == 1, "what was answered is kept"


def test_a_mistake_of_the_caller_is_raised() -> None:
    with pytest.raises(UsageError, match="no such colour"):
        collected(raising(UsageError("no such colour")))
    with pytest.raises(UsageError, match="concurrency of at least 1"):
        asyncio.run(play_external(PLANS, raising(ValueError()), Gateway(Scripted(echo)), concurrency=0))


def test_a_token_in_an_error_is_not_recorded() -> None:
    def agent(assignment: Assignment) -> Verdict:
        call(assignment, "hello")
        raise ValueError(f"401 for {assignment.token}")

    episode = one(agent)
    assert "401 for ***" in (episode.error or "")


def test_an_agent_that_never_calls_and_one_without_a_reward() -> None:
    silent = one(lambda assignment: Verdict(1.0))
    assert (silent.outcome, silent.score) == (Outcome.AGENT_ERROR, 0.0)

    def unrewarded(assignment: Assignment) -> None:
        call(assignment, "hello")

    episode = one(unrewarded)
    assert (episode.outcome, episode.score) == (Outcome.ENV_ERROR, None)


def test_a_reward_that_is_posted_and_a_second_one() -> None:
    def agent(assignment: Assignment) -> None:
        call(assignment, "hello")
        headers = {"authorization": f"Bearer {assignment.token}"}
        httpx2.post(assignment.reward_url, json={"reward": 0.5, "success": False}, headers=headers)

    episode = one(agent)
    assert (episode.outcome, episode.score) == (Outcome.FAILURE, 0.5)

    def twice(assignment: Assignment) -> Verdict:
        agent(assignment)
        return Verdict(1.0)

    with pytest.raises(UsageError, match="this reward comes too late"):
        one(twice)


def test_an_agent_that_takes_too_long_is_truncated() -> None:
    async def agent(assignment: Assignment) -> Verdict:
        await asyncio.to_thread(call, assignment, "hello")
        await asyncio.sleep(60)
        return Verdict(1.0)

    episode = one(agent, timeout_s=5.0)
    assert (episode.outcome, episode.stop_reason) == (Outcome.TRUNCATED, StopReason.TIME_LIMIT)
    assert (episode.score, len(episode.turns), episode.turns[-1].truncated) == (0.0, 1, True)


def test_a_thread_that_hangs_holds_up_nobody() -> None:
    freed = threading.Event()

    def agent(assignment: Assignment) -> Verdict:
        if assignment.seed == PLANS[0].seed:
            freed.wait()
        else:
            call(assignment, "hello")
        return Verdict(1.0)

    async def use(http: Http, policy: Scripted) -> list[Episode]:
        return await play_external(PLANS[:2], agent, http.gateway, concurrency=1, timeout_s=5.0)

    try:
        episodes = serve(echo, use)
    finally:
        freed.set()
    assert [episode.outcome for episode in episodes] == [Outcome.TRUNCATED, Outcome.SUCCESS]


def test_a_policy_that_takes_too_long_is_no_failure_of_the_agent() -> None:
    async def agent(assignment: Assignment) -> Verdict:
        async with openai.AsyncOpenAI(base_url=assignment.base_url, api_key=assignment.token) as api:
            await api.responses.create(model=assignment.model, input="hello")
        return Verdict(1.0)

    async def use(http: Http, policy: Scripted) -> list[Episode]:
        policy.gate.clear()
        return await play_external(PLANS[:1], agent, http.gateway, concurrency=1, timeout_s=3.0)

    (episode,) = serve(echo, use)
    assert (episode.outcome, episode.score, episode.turns) == (Outcome.INFERENCE_ERROR, None, ())


def test_a_program_is_an_agent(tmp_path: Path) -> None:
    program = tmp_path / "agent.py"
    program.write_text(PROGRAM, "utf-8")

    def judge(assignment: Assignment, output: str) -> Verdict:
        return Verdict(float(output == "<hello>\n"))

    episode = one(ProgramAgent([sys.executable, str(program)], judge=judge))
    assert (episode.outcome, episode.score) == (Outcome.SUCCESS, 1.0)
    assert [turn.observation for turn in episode.turns] == ["hello"]


def test_a_program_ends_when_it_ends_whatever_it_leaves_running(tmp_path: Path) -> None:
    program = tmp_path / "agent.py"
    left = "import subprocess\nsubprocess.Popen(['sleep', '600'])\n"
    program.write_text(PROGRAM + left, "utf-8")
    agent = ProgramAgent([sys.executable, str(program)], judge=lambda _, output: Verdict(float(len(output))))
    episode = one(agent, timeout_s=60.0)
    assert (episode.outcome, episode.score) == (Outcome.SUCCESS, len("<hello>\n"))


def test_a_program_that_fails_or_hangs(tmp_path: Path) -> None:
    failed = one(ProgramAgent([sys.executable, "-c", "import sys; sys.exit('no idea')"]))
    assert failed.outcome is Outcome.AGENT_ERROR
    assert "ended with exit code 1: no idea" in (failed.error or "")
    told = tmp_path / "child"
    hung = one(ProgramAgent(["sh", "-c", f"sleep 600 & echo $! >{told}; wait"]), timeout_s=3.0)
    assert hung.stop_reason is StopReason.TIME_LIMIT
    child = Path(f"/proc/{int(told.read_text())}")
    assert eventually(lambda: not child.exists()), "its children are killed with it"
    with pytest.raises(UsageError, match="no program 'no-such-program'"):
        ProgramAgent(["no-such-program"])


def test_an_episode_that_cannot_be_kept_is_no_failure_of_the_agent() -> None:
    def full(episode: Episode) -> None:
        raise StoreFault(f"no room for {episode.id}")

    def rewarding(assignment: Assignment) -> Verdict:
        call(assignment, "hello")
        return Verdict(1.0)

    async def use(http: Http, policy: Scripted) -> list[Episode]:
        return await play_external(PLANS[:1], rewarding, http.gateway, concurrency=4)

    with pytest.raises(StoreFault, match=f"no room for {PLANS[0].episode_id}"):
        serve(echo, use, on_episode=full)


def test_whatever_keeping_an_episode_raises_is_told_as_it_is() -> None:
    def broken(episode: Episode) -> None:
        raise ZeroDivisionError(episode.id)

    async def use(http: Http, policy: Scripted) -> list[Episode]:
        return await play_external(PLANS[:1], raising(OSError("the agent's")), http.gateway, concurrency=4)

    with pytest.raises(ZeroDivisionError, match=PLANS[0].episode_id):
        serve(echo, use, on_episode=broken)
