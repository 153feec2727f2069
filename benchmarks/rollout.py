"""Rollouts: what waiting for environments costs, and what the harness adds to each turn.

    python -m benchmarks.rollout            about a minute
    python -m benchmarks.rollout --full     longer, and steadier
    python -m benchmarks.rollout --parts a --tokens 64    answers as long as a thought and a command

Four parts, each against its goal; fails where one is missed.

(a) A small model plays with 64 episodes in flight in an environment that sleeps 10 to 500 ms before each answer,
    log-normal. Sampled tokens per second against those of the engine alone (the same conversations, answered at
    once), and against a loop in lock-step: all answers, then all environments at once, waiting for the slowest.
    The engine alone always has 64 answers to batch; in the harness some of the 64 episodes wait for their worlds. The
    shorter an answer takes beside a step of the world, the more do.
(b) 64 environments that sleep d seconds, with a policy that answers at once: time for a round of turns, over d.
(c) CPU time for a turn with a policy and an environment that answer at once: agent, rendering, tokenising, record.
(d) Memory for each episode that waits for its policy at its tenth turn, and how many would fit into 4 GB.

Wall-clock figures mean something on a quiet machine alone; ways that are compared take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedTokenizerBase

import agentgym
from agentgym.agents.chat import ChatAgent
from agentgym.core.agent import EpisodeStart
from agentgym.core.env import AgentEnv, Stepping
from agentgym.core.policy import Completion, GenerationRequest, Sampling
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import make_model
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.rollout.collect import EpisodePlan, collect
from agentgym.rollout.rules import Rules
from agentgym.training.demonstrations import RecitingPolicy
from benchmarks.generation import SIZES, household_observations
from benchmarks.talking import CONSTANT_S, Talking, constant, heavy_tailed, task_of

IN_FLIGHT = 64
GIGABYTE = 1 << 30
ANSWER = "go to fridge 1"


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    episodes: int
    turns: int
    repeats: int
    tokens: int = 16
    model: str = "5m"


SHORT = Scale(episodes=128, turns=4, repeats=2)
FULL = Scale(episodes=512, turns=8, repeats=4)


class Goal(NamedTuple):
    """A figure, and what it should be."""

    name: str
    value: float
    unit: str
    goal: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it is as good as it should be."""
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    @property
    def line(self) -> str:
        """The figure for the table."""
        sign, verdict = (">=" if self.at_least else "<="), ("met" if self.met else "MISSED")
        return f"{self.name:<72}{self.value:>9.3f} {self.unit:<3} goal {sign} {self.goal:<6g} {verdict}"


class Instant(RecitingPolicy):
    """Answers at once; the conversation is rendered and tokenised as for any other policy."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(tokenizer)
        ids: list[int] = tokenizer.encode(ANSWER, add_special_tokens=False)
        end: Any = tokenizer.eos_token_id
        self._answer_ids = (*ids, int(end))

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Return the same answer to each."""
        return await super().generate([self._dictated(request) for request in requests])

    def _dictated(self, asked: GenerationRequest) -> GenerationRequest:
        return GenerationRequest(
            asked.session_id, asked.messages, asked.sampling, asked.seed, asked.tools, self._answer_ids
        )


class Timed(Instant):
    """Answers at once, and notes when it was asked."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(tokenizer)
        self.asked: dict[str, list[float]] = {}

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Return the same answer to each."""
        for request in requests:
            self.asked.setdefault(request.session_id, []).append(perf_counter())
        return await super().generate(requests)


class Waiting(Instant):
    """Answers at once for so many turns, then never."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, turns: int) -> None:
        super().__init__(tokenizer)
        self.left: dict[str, int] = {}
        self._turns = turns

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Return an answer while the session has turns left."""
        name = requests[0].session_id
        self.left[name] = self.left.get(name, self._turns) - 1
        if self.left[name] < 0:
            await asyncio.get_running_loop().create_future()
        return await super().generate(requests)


def plans_of(count: int) -> list[EpisodePlan]:
    return [EpisodePlan(task_of(number), f"e{number}", f"g{number}", number) for number in range(count)]


def played(
    agent: ChatAgent, make_env: Callable[[], AgentEnv], episodes: int, turns: int, stepping: Stepping
) -> None:
    rules = Rules(stepping=stepping)
    playing = collect(
        plans_of(episodes), agent, make_env, concurrency=IN_FLIGHT, max_turns=turns, rules=rules
    )
    failed = [episode.error for episode in asyncio.run(playing) if len(episode.turns) != turns]
    if failed:
        raise SystemExit(f"{len(failed)} episodes failed; the first:\n{failed[0]}")


async def engine_alone(agent: ChatAgent, env: Talking, episodes: int, turns: int) -> None:
    """The same conversations without a harness or an environment to wait for, as many at once."""
    numbers = iter(range(episodes))

    async def talk() -> None:
        for number in numbers:
            session = agent.start(EpisodeStart(f"e{number}", task_of(number), number, env))
            world = Talking(env.told, None)
            observation, info = world.reset(options={"task": task_of(number)})
            for _ in range(turns):
                await session.act(observation, info)
                observation, *_ = world.step("")
            session.close()

    await asyncio.gather(*(talk() for _ in range(IN_FLIGHT)))


async def in_lock_step(agent: ChatAgent, env: Talking, episodes: int, turns: int) -> None:
    """A batch of answers, then a step of all environments at once, and so on."""
    for first in range(0, episodes, IN_FLIGHT):
        numbers = range(first, min(first + IN_FLIGHT, episodes))
        worlds = [Talking(env.told, None) for _ in numbers]
        sessions = [agent.start(EpisodeStart(f"e{n}", task_of(n), n, env)) for n in numbers]
        seen = [world.reset(options={"task": task_of(n)}) for world, n in zip(worlds, numbers, strict=True)]
        for turn in range(turns):
            told = zip(sessions, seen, strict=True)
            await asyncio.gather(*(session.act(*observed) for session, observed in told))
            await asyncio.sleep(max(heavy_tailed(n, turn) for n in numbers))
            seen = [(world.step("")[0], info) for world, (_, info) in zip(worlds, seen, strict=True)]
        for session in sessions:
            session.close()


def throughput(scale: Scale, told: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase) -> list[Goal]:
    """(a) Tokens per second against the engine alone, and the loop in lock-step beside it."""
    model = make_model(SIZES[scale.model], tokenizer, seed=0, device="cpu").eval()
    sampling = Sampling(max_tokens=scale.tokens)
    env = Talking(told, heavy_tailed)
    make_env = partial(Talking, told, heavy_tailed)
    ways: dict[str, Callable[[ChatAgent, int], None]] = {
        "engine": lambda agent, count: asyncio.run(engine_alone(agent, env, count, scale.turns)),
        "harness": lambda agent, count: played(agent, make_env, count, scale.turns, Stepping.THREAD),
        "lock-step": lambda agent, count: asyncio.run(in_lock_step(agent, env, count, scale.turns)),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    per_cpu: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(scale.repeats + 1):
        for name, play in ways.items():
            policy = LocalPolicy(model, tokenizer)
            started, worked = perf_counter(), process_time()
            play(ChatAgent(policy, sampling=sampling), scale.episodes if repeat else IN_FLIGHT)
            rates[name].append(policy.stats.sampled_tokens / (perf_counter() - started))
            per_cpu[name].append(policy.stats.sampled_tokens / (process_time() - worked))
    best = {name: max(found[1:]) for name, found in rates.items()}  # the first one warms up
    print(f"    tokens/s: {', '.join(f'{name} {rate:,.0f}' for name, rate in best.items())}")
    told_cpu = {name: max(found[1:]) for name, found in per_cpu.items()}
    print(f"    tokens per CPU second: {', '.join(f'{name} {rate:,.0f}' for name, rate in told_cpu.items())}")
    kept, lost = best["harness"] / best["engine"], best["lock-step"] / best["engine"]
    return [
        Goal("(a) share of the engine's throughput, latency of 10 to 500 ms", kept, "", 0.9, at_least=True),
        Goal("(a) times the loop in lock-step", kept / lost, "x", 1.0, at_least=True),
    ]


def rounds(scale: Scale, told: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase) -> list[Goal]:
    """(b) Time between two decisions of an episode, in the median of the episodes, over the latency."""
    make_env = partial(Talking, told, constant)
    turns = 12 if scale.episodes == SHORT.episodes else 42
    goals: list[Goal] = []
    for stepping, kind in ((Stepping.THREAD, "threads"), (Stepping.PROCESS, "processes")):
        found: list[float] = []
        for _ in range(scale.repeats + 1):
            policy = Timed(tokenizer)
            played(ChatAgent(policy), make_env, IN_FLIGHT, turns, stepping)
            spans = [(asked[-1] - asked[0]) / (turns - 1) for asked in policy.asked.values()]
            found.append(statistics.median(spans) / CONSTANT_S)
        bare = min(asyncio.run(_bare(turns)) for _ in range(scale.repeats)) / CONSTANT_S
        print(f"    a round of bare sleeps on the event loop beside it: {bare:.3f} d")
        name = f"(b) {IN_FLIGHT} environments of {CONSTANT_S * 1e3:.0f} ms in {kind}, a round of turns"
        goals.append(Goal(name, min(found), "d", 1.1))
    return goals


async def _bare(turns: int) -> float:
    """Return the seconds that a round takes where nothing but sleeping is done: what this machine can do now."""

    async def sleep() -> float:
        started = perf_counter()
        for _ in range(turns):
            await asyncio.sleep(CONSTANT_S)
        return (perf_counter() - started) / turns

    return statistics.median(await asyncio.gather(*(sleep() for _ in range(IN_FLIGHT))))


def overhead(scale: Scale, told: Sequence[Sequence[str]], agent: ChatAgent) -> list[Goal]:
    """(c) CPU milliseconds for a turn."""
    make_env = partial(Talking, told, None)
    found: list[float] = []
    for _ in range(5 * scale.repeats):
        started = process_time()
        played(agent, make_env, IN_FLIGHT, 10, Stepping.INLINE)
        found.append((process_time() - started) / IN_FLIGHT / 10 * 1e3)
    print(f"    CPU ms per turn: least {min(found):.3f}, median {statistics.median(found):.3f}")
    return [Goal("(c) CPU for a turn, all but the policy and the environment", min(found), "ms", 0.1)]


def memory(scale: Scale, tokenizer: PreTrainedTokenizerBase) -> list[Goal]:
    """(d) Resident memory for each episode that waits, worlds of the household included; printed, without a goal."""
    for stepping, count in ((Stepping.INLINE, 1024), (Stepping.THREAD, 512), (Stepping.PROCESS, 64)):
        agent = ChatAgent(Waiting(tokenizer, 10))
        sizes: list[float] = []
        for number in (count // 4, count):  # each in a process of its own, where nothing is left of the last
            with ProcessPoolExecutor(1, get_context("fork")) as apart:
                sizes.append(apart.submit(_resident, agent, stepping, number).result())
        each = (sizes[1] - sizes[0]) / (count - count // 4)
        print(
            f"    {stepping.value:<8} {each / 1024:>8,.0f} KiB for each waiting episode, "
            f"{GIGABYTE * 4 / each:>10,.0f} in 4 GB"
        )
    shape = SIZES[scale.model]
    cached = 2 * shape.layers * shape.kv_heads * shape.head_dim * 4 * 1000
    print(
        f"    Besides, keys and values of the model in (a): {cached / 1024:,.0f} KiB for 1,000 tokens of context."
    )
    return []


def _resident(agent: ChatAgent, stepping: Stepping, count: int) -> float:
    return asyncio.run(_waiting(agent, stepping, count))


async def _waiting(agent: ChatAgent, stepping: Stepping, count: int) -> float:
    """Return the bytes in use when `count` episodes wait at their tenth turn."""
    make_env = agentgym.registry.factory("household", admissible=False)
    tasks = make_env().suite.tasks("train")
    plans = [EpisodePlan(tasks[n], f"e{n}", "g", n) for n in range(count)]
    gc.collect()
    rules = Rules(stepping=stepping, stall_s=1e6)
    before = _used()
    playing = asyncio.create_task(
        collect(plans, agent, make_env, concurrency=count, max_turns=50, rules=rules)
    )
    waiting: Any = agent.policy
    while sum(left < 0 for left in waiting.left.values()) < count:
        await asyncio.sleep(0.05)
    gc.collect()
    used = _used() - before
    playing.cancel()
    await asyncio.wait([playing])
    waiting.left.clear()
    return used


def _used() -> float:
    """Return the bytes that this process and its descendants hold, what they share counted once."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    family, total = [os.getpid()], 0.0
    while family:
        process = family.pop()
        family += children.get(process, [])
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(1024.0 * int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--full", action="store_true", help="more episodes, more repeats")
    parser.add_argument("--parts", default="abcd", help="which parts, such as bc")
    parser.add_argument("--tokens", type=int, default=16, help="tokens of an answer in (a)")
    parser.add_argument("--model", choices=list(SIZES), default="5m", help="the model in (a)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    scale = replace(FULL if options.full else SHORT, tokens=options.tokens, model=options.model)
    told = household_observations(IN_FLIGHT, 10)
    tokenizer = train_tokenizer([text for episode in told for text in episode], 1024)
    agent = ChatAgent(Instant(tokenizer))
    parts: dict[str, Callable[[], list[Goal]]] = {
        "d": lambda: memory(scale, tokenizer),
        "a": lambda: throughput(scale, told, tokenizer),
        "b": lambda: rounds(scale, told, tokenizer),
        "c": lambda: overhead(scale, told, agent),
    }
    goals = [goal for name, measure in parts.items() if name in options.parts for goal in measure()]
    for goal in goals:
        print(goal.line)
    return 0 if all(goal.met for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
