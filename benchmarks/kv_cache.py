"""Multi-turn generation: caches kept across turns against computing the history anew at every turn.

    python -m benchmarks.kv_cache --episodes 32 --turns 10

The same conversations, with observations of real household episodes, are continued greedily twice: by
`LocalPolicy`, and by transformers' `generate` on the whole history of each turn, all episodes in one
batch. Prints the tokens that went through the model (padding not counted), tokens per second, and whether
the sampled ids are equal. Fails where they are not, or where the cache saves less than a factor of three.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

import torch
from transformers import PreTrainedModel

import agentgym
from agentgym.core.message import Message
from agentgym.core.policy import Completion, GenerationRequest, Sampling
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.rendering import ChatRenderer
from agentgym.policies.tokenizer import train_tokenizer

SYSTEM = Message("system", "You act in a text world. Answer with one command.")


@dataclass(frozen=True)
class Result:
    """One way's work: the sampled ids by episode and turn, tokens computed and sampled, seconds."""

    ids: list[list[list[int]]]
    computed: int
    sampled: int
    wall_s: float
    cpu_s: float

    @property
    def line(self) -> str:
        """The figures for the table."""
        new = self.sampled / self.wall_s
        return (
            f"{self.computed:>10,} computed  {self.sampled:>7,} sampled  {self.wall_s:7.2f} s  "
            f"{self.computed / self.wall_s:>8,.0f} computed/s  {new:>6,.0f} sampled/s  {self.cpu_s:7.2f} s CPU"
        )


def household_observations(episodes: int, turns: int) -> list[list[str]]:
    """What the expert sees in `episodes` tasks, from the start again where it is done before `turns`."""
    env = agentgym.make("agentgym/Household-v0", split="train")
    told: list[list[str]] = []
    for seed in range(episodes):
        observation, _ = env.reset(seed=seed)
        seen: list[str] = [observation]
        done = False
        while not done and len(seen) < turns:
            observation, _, terminated, truncated, _ = env.step(env.oracle())
            seen.append(observation)
            done = terminated or truncated
        told.append([seen[turn % len(seen)] for turn in range(turns)])
    return told


def with_kept_caches(policy: LocalPolicy, told: Sequence[Sequence[str]], sampling: Sampling) -> Result:
    async def play(index: int) -> list[list[int]]:
        messages = [SYSTEM]
        ids: list[list[int]] = []
        for observation in told[index]:
            messages.append(Message("user", observation))
            request = GenerationRequest(f"episode-{index}", tuple(messages), sampling)
            completion: Completion = (await policy.generate([request]))[0]
            messages.append(Message("assistant", completion.text))
            ids.append(completion.completion_ids.tolist())
        policy.end_session(f"episode-{index}")
        return ids

    async def play_all() -> list[list[list[int]]]:
        return await asyncio.gather(*(play(index) for index in range(len(told))))

    before = (policy.stats.computed_tokens, policy.stats.sampled_tokens)
    wall, cpu = perf_counter(), process_time()
    ids = asyncio.run(play_all())
    return Result(
        ids,
        policy.stats.computed_tokens - before[0],
        policy.stats.sampled_tokens - before[1],
        perf_counter() - wall,
        process_time() - cpu,
    )


def with_generate(
    model: PreTrainedModel,
    renderer: ChatRenderer,
    told: Sequence[Sequence[str]],
    sampling: Sampling,
    stop: int,
) -> Result:
    generate: Any = model.generate
    contexts: list[list[int]] = [[] for _ in told]
    ids: list[list[list[int]]] = [[] for _ in told]
    computed = 0
    wall, cpu = perf_counter(), process_time()
    for turn in range(len(told[0])):
        for index, context in enumerate(contexts):
            message = Message("user", told[index][turn])
            closed = "" if not context or context[-1] == stop else "<|end|>"
            opening = renderer.render([message] if turn else [SYSTEM, message])
            context.extend(renderer.encode(closed + opening))
        longest = max(len(context) for context in contexts)
        padding = [longest - len(context) for context in contexts]
        batch = torch.tensor([[0] * pad + context for pad, context in zip(padding, contexts, strict=True)])
        mask = torch.tensor([[0] * pad + [1] * (longest - pad) for pad in padding])
        output = generate(
            batch,
            attention_mask=mask,
            max_new_tokens=sampling.max_tokens,
            do_sample=False,
            eos_token_id=stop,
            pad_token_id=0,
        )[:, longest:]
        for index, row in enumerate(output.tolist()):
            sampled = row[: row.index(stop) + 1] if stop in row else row
            computed += len(contexts[index]) + len(sampled) - 1
            ids[index].append(sampled)
            contexts[index].extend(sampled)
    count = sum(len(turn) for episode in ids for turn in episode)
    return Result(ids, computed, count, perf_counter() - wall, process_time() - cpu)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--episodes", type=int, default=32)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--max-tokens", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    told = household_observations(options.episodes, options.turns)
    tokenizer = train_tokenizer([text for episode in told for text in episode], 1024)
    model = make_model(ModelConfig(), tokenizer, seed=0, device="cpu").eval()
    with torch.no_grad():  # a fresh model is indifferent between tokens; make its choices clear
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(4.0)
    sampling = Sampling(temperature=0.0, max_tokens=options.max_tokens)
    policy = LocalPolicy(model, tokenizer)
    with_kept_caches(policy, told[:2], sampling)  # warm up
    kept = with_kept_caches(policy, told, sampling)
    stop: Any = tokenizer.eos_token_id
    anew = with_generate(model, ChatRenderer(tokenizer), told, sampling, stop)

    weights = sum(parameter.numel() for parameter in model.parameters())
    print(
        f"{options.episodes} episodes of {options.turns} turns, {weights:,} weights, {options.threads} thread(s)"
    )
    print(f"caches kept      {kept.line}")
    print(f"generate, anew   {anew.line}")
    ratio = anew.computed / kept.computed
    same = kept.ids == anew.ids
    print(f"{ratio:.1f} times fewer tokens computed, {anew.wall_s / kept.wall_s:.1f} times faster")
    print(f"greedy ids {'equal' if same else 'DIFFER'}")
    return 0 if same and ratio >= 3 else 1


if __name__ == "__main__":
    sys.exit(main())
