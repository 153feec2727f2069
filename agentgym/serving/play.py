"""Episodes of agents that own their loop, in groups that the trainer takes as they are."""

from __future__ import annotations

import asyncio
import inspect
import re
import traceback
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from agentgym.agents.external import Assignment, ExternalAgent, Verdict
from agentgym.core.errors import (
    InferenceFault,
    InfrastructureError,
    SandboxFault,
    UsageError,
)
from agentgym.core.trace import Episode, Outcome, StopReason
from agentgym.rollout.collect import EpisodePlan, first_error
from agentgym.serving.attempt import Attempt
from agentgym.serving.gateway import Gateway


async def play_external(
    plans: Sequence[EpisodePlan],
    agent: ExternalAgent,
    gateway: Gateway,
    *,
    concurrency: int,
    timeout_s: float | None = None,
) -> list[Episode]:
    """Let `agent` play every plan through a running gateway; return the episodes in the order of the plans.

    At most `concurrency` episodes are under way at a time. What the agent raises ends its episode: as a failure of
    the agent, unless it names another owner (an `InfrastructureError`) or a call of it was never answered. An
    episode of more than `timeout_s` seconds is truncated, or an inference error where the policy was being waited
    for. An agent that neither returns a verdict nor has it posted leaves its episode without a score. Raises the
    `UsageError` of an agent, such as for a reward that was given twice, and the first failure of the gateway's
    `on_episode`.
    """
    if concurrency < 1:
        raise UsageError(f"play_external needs a concurrency of at least 1, got {concurrency}.")
    if any(plan.prefix for plan in plans):
        raise UsageError(
            "An external agent cannot be made to replay turns: plan its episodes without a prefix."
        )
    turn = asyncio.Semaphore(concurrency)
    # One for each plan, made as needed: an agent that hangs keeps its thread after its episode has ended.
    threads = ThreadPoolExecutor(max(1, len(plans)), "external-agent")

    async def play(plan: EpisodePlan) -> Episode:
        async with turn:
            return await _play(plan, _started(agent, threads), gateway, timeout_s)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(play(plan)) for plan in plans]
    except* Exception as errors:  # noqa: BLE001 - one error is told, not a group of them
        raise first_error(errors) from None
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    return [task.result() for task in tasks]


def _started(
    agent: ExternalAgent, threads: ThreadPoolExecutor
) -> Callable[[Assignment], Awaitable[Verdict | None]]:
    """Return the agent as something to wait for."""
    if inspect.iscoroutinefunction(agent) or inspect.iscoroutinefunction(type(agent).__call__):
        return cast("Callable[[Assignment], Awaitable[Verdict | None]]", agent)

    async def run(assignment: Assignment) -> Verdict | None:
        result = await asyncio.get_running_loop().run_in_executor(threads, agent, assignment)
        return await result if inspect.isawaitable(result) else result

    return run


async def _play(
    plan: EpisodePlan,
    agent: Callable[[Assignment], Awaitable[Verdict | None]],
    gateway: Gateway,
    timeout_s: float | None,
) -> Episode:
    rollout = re.sub(r"[^A-Za-z0-9._:-]", ".", plan.episode_id)
    attempt = gateway.open(rollout, plan=plan)
    seed = plan.seed if plan.agent_seed is None else plan.agent_seed
    assignment = Assignment(plan.task, seed, gateway.base_url(rollout), gateway.token, gateway.model)
    playing = asyncio.ensure_future(agent(assignment))
    try:
        await asyncio.wait({playing}, timeout=timeout_s)
        if not playing.done():  # told before the agent is stopped and its call given up
            outcome = Outcome.INFERENCE_ERROR if attempt.waiting else Outcome.TRUNCATED
            attempt.end(outcome, StopReason.TIME_LIMIT, f"The agent took longer than {timeout_s:g} s.")
        elif isinstance(failure := playing.exception(), Exception) and not isinstance(failure, UsageError):
            # Whatever the agent raises ends this episode alone; what ending it raises is not the agent's.
            attempt.end(_owner(failure), StopReason.ERROR, _report(failure, gateway.token))
        else:
            _judge(attempt, playing.result())
    except (UsageError, asyncio.CancelledError):
        attempt.end(Outcome.CANCELLED, StopReason.CANCELLED, "The collection of episodes was stopped.")
        raise
    finally:
        playing.cancel()
        await asyncio.wait({playing})
    return await attempt.episode()


def _judge(attempt: Attempt, verdict: Verdict | None) -> None:
    """End the attempt as the agent's verdict says."""
    if attempt.done and verdict is None:
        return
    if not attempt.done and not attempt.answered:
        attempt.end(Outcome.AGENT_ERROR, StopReason.ERROR, "The agent ended without a call to its model.")
    elif verdict is None:
        attempt.end(Outcome.ENV_ERROR, StopReason.ERROR, "The agent ended and no reward came.")
    else:
        attempt.reward(verdict.reward, verdict.success)


def _owner(error: Exception) -> Outcome:
    """Return whose failure an exception of the agent is."""
    if isinstance(error, InferenceFault):
        return Outcome.INFERENCE_ERROR
    if isinstance(error, SandboxFault):
        return Outcome.SANDBOX_ERROR
    return Outcome.ENV_ERROR if isinstance(error, InfrastructureError) else Outcome.AGENT_ERROR


def _report(error: Exception, token: str) -> str:
    """Return the traceback, without the token if it is in there."""
    return "".join(traceback.format_exception(error)).strip().replace(token, "***")
