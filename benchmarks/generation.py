"""The local engine against transformers' own `generate`: answers, rollouts of ten turns, memory.

    python -m benchmarks.generation                     # all of it, half an hour of one core
    python -m benchmarks.generation --part answers --models 5m --batches 32
    python -m benchmarks.generation --part turns --episodes 64
    python -m benchmarks.generation --part memory

    vLLM's CPU build beside them, one model in one type of numbers at a time (make .venv-vllm/ready):
    .venv-vllm/bin/python -m benchmarks.generation --part answers --vllm --models 5m --dtypes float32

Answers: prompts of one length, sampled, with log-probabilities on our side and none on the other; each prompt answered
once, or by a group of rollouts, as in training, for which our side computes it once. Turns: the
same conversations, with observations of real household episodes, are continued greedily by `LocalPolicy`,
which keeps its caches, and by `generate` on the whole history of each turn, all episodes in one batch.
The two sides take turns in one process; each figure is the fastest of its repeats, in CPU time (beside it in
wall time). Fails where the sampled ids of the turns differ, or the caches save less than a factor of three.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import agentgym
from agentgym.core.message import Message
from agentgym.core.policy import Completion, GenerationRequest, Sampling
from agentgym.policies.engine import Engine, Row
from agentgym.policies.kv_cache import KeyValueCache
from agentgym.policies.lanes import Lane
from agentgym.policies.local import MAX_CACHE_BYTES, LocalPolicy
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.packed import OpenForward, open_forward
from agentgym.policies.rendering import ChatRenderer
from agentgym.policies.tokenizer import train_tokenizer
from benchmarks.peers.vllm_answers import open_vllm, vllm_answers

SYSTEM = Message("system", "You act in a text world. Answer with one command.")
VOCABULARY = 4096
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SIZES = {
    "1m": ModelConfig(),
    "5m": ModelConfig(hidden_size=256, layers=4, heads=8, kv_heads=4, head_dim=32, mlp_size=1024),
    "27m": ModelConfig(hidden_size=512, layers=8, heads=8, kv_heads=4, head_dim=64, mlp_size=1536),
}


@dataclass(frozen=True)
class Spent:
    """Seconds of the fastest repeat."""

    cpu: float
    wall: float


def interleaved(sides: Sequence[Callable[[], object]], repeats: int) -> list[Spent]:
    """Run the sides in turn, after one run of each that does not count."""
    spent: list[list[Spent]] = [[] for _ in sides]
    for _ in range(repeats + 1):
        for index, side in enumerate(sides):
            wall, cpu = perf_counter(), process_time()
            side()
            spent[index].append(Spent(process_time() - cpu, perf_counter() - wall))
    return [Spent(min(each.cpu for each in runs[1:]), min(each.wall for each in runs[1:])) for runs in spent]


def make(name: str, tokenizer: PreTrainedTokenizerFast, dtype: torch.dtype) -> PreTrainedModel:
    """Make a model whose vocabulary is as large as that of the measurements it is compared with."""
    model: Any = make_model(SIZES[name], tokenizer, seed=0, device="cpu", dtype=dtype)
    model.resize_token_embeddings(VOCABULARY, mean_resizing=False)
    model.generation_config.eos_token_id = None
    return model.eval()


def our_answers(
    opened: OpenForward, prompts: list[list[int]], tokens: int, *, deterministic: bool = False
) -> Callable[[], None]:
    rng = np.random.default_rng(0)
    positions = MAX_CACHE_BYTES // opened.bytes_per_position
    engine = Engine(
        opened.forward,
        KeyValueCache(positions, 2048),
        [],
        max_batch_tokens=1024,
        deterministic=deterministic,
    )

    def answer() -> None:
        uniforms = rng.random((len(prompts), tokens), np.float32).tolist()
        sampling = Sampling(max_tokens=tokens)
        rows = [
            Row(Lane("answer"), list(prompt), len(prompt), 0, sampling, numbers)
            for prompt, numbers in zip(prompts, uniforms, strict=True)
        ]
        for row in rows:
            engine.submit(row)
        while engine.busy:
            engine.step()
        for row in rows:
            engine.lanes.drop(row.lane)

    return answer


def their_answers(model: PreTrainedModel, prompts: list[list[int]], tokens: int) -> Callable[[], None]:
    own: Any = model
    batch = torch.tensor(prompts)

    def answer() -> None:
        own.generate(
            batch,
            attention_mask=torch.ones_like(batch),
            do_sample=True,
            top_k=0,
            max_new_tokens=tokens,
            pad_token_id=0,
        )

    return answer


def compare_answers(options: argparse.Namespace, tokenizer: PreTrainedTokenizerFast) -> None:
    print(
        f"\nAnswers: prompts of {options.prompt} tokens, {options.tokens} new ones; tokens per CPU second, and"
    )
    print("how many times as many of ours (by the clock)")
    print("model  dtype     batch  group     ours  others")
    for name, dtype in product(options.models, map(DTYPES.__getitem__, options.dtypes)):
        model = make(name, tokenizer, dtype)
        opened = open_forward(model, 2048)
        llm = open_vllm(model, dtype) if options.vllm else None
        for batch, group in product(options.batches, options.groups):
            if batch % group:
                continue
            rng = np.random.default_rng(1)
            different: Any = rng.integers(0, VOCABULARY, (batch // group, options.prompt)).tolist()
            prompts = [prompt for prompt in different for _ in range(group)]
            sides = {
                "ours": our_answers(opened, prompts, options.tokens),
                "generate": their_answers(model, prompts, options.tokens),
            }
            if llm is not None:
                sides["vllm"] = vllm_answers(llm, prompts, options.tokens)
            if options.deterministic:
                sides["deterministic"] = our_answers(opened, prompts, options.tokens, deterministic=True)
            ours, *others = interleaved(list(sides.values()), options.repeats)
            count = batch * options.tokens
            print(
                f"{name:5}  {str(dtype)[6:]:8}  {batch:5}  {group:5}  {count / ours.cpu:7,.0f}"
                + "".join(
                    f"  {side} {count / spent.cpu:,.0f}: {spent.cpu / ours.cpu:.2f} ({spent.wall / ours.wall:.2f})"
                    for side, spent in zip(list(sides)[1:], others, strict=True)
                ),
                flush=True,
            )


@dataclass
class Turns:
    """One way's work: the sampled ids by episode and turn, and the tokens that went through the model."""

    ids: list[list[list[int]]]
    computed: int


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


def our_turns(policy: LocalPolicy, told: Sequence[Sequence[str]], sampling: Sampling) -> Turns:
    async def play(index: int) -> list[list[int]]:
        messages = [SYSTEM]
        ids: list[list[int]] = []
        for observation in told[index]:
            messages.append(Message("user", observation))
            request = GenerationRequest(f"episode-{index}", tuple(messages), sampling)
            completion: Completion = (await policy.generate([request]))[0]
            messages.append(Message("assistant", completion.text))
            ids.append(completion.completion_ids.tolist())
        return ids

    async def play_all() -> list[list[list[int]]]:
        return await asyncio.gather(*(play(index) for index in range(len(told))))

    policy.set_version(policy.version + 1)  # nothing is known from a repeat before
    before = policy.stats.computed_tokens
    ids = asyncio.run(play_all())
    for index in range(len(told)):
        policy.end_session(f"episode-{index}")
    return Turns(ids, policy.stats.computed_tokens - before)


def their_turns(
    model: PreTrainedModel,
    renderer: ChatRenderer,
    told: Sequence[Sequence[str]],
    sampling: Sampling,
    stop: int,
) -> Turns:
    generate: Any = model.generate
    contexts: list[list[int]] = [[] for _ in told]
    ids: list[list[list[int]]] = [[] for _ in told]
    computed = 0
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
    return Turns(ids, computed)


def compare_turns(
    options: argparse.Namespace, told: list[list[str]], tokenizer: PreTrainedTokenizerFast
) -> bool:
    """Print the turns per second of both; return whether they said the same and the caches were worth it."""
    print(f"\nTurns: {options.episodes} episodes of {options.turns}; agent turns per CPU second")
    print("model      ours  generate  times (by wall)  tokens computed by each")
    stop: Any = tokenizer.eos_token_id
    sampling = Sampling(temperature=0.0, max_tokens=options.answer)
    good = True
    for name in options.models:
        model = make(name, tokenizer, torch.float32)
        with torch.no_grad():  # a fresh model is indifferent between tokens; make its choices clear
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.mul_(4.0)
        policy, renderer = LocalPolicy(model, tokenizer), ChatRenderer(tokenizer)
        done: dict[str, Turns] = {}

        def ours(policy: LocalPolicy = policy, done: dict[str, Turns] = done) -> None:
            done["ours"] = our_turns(policy, told, sampling)

        def theirs(
            model: PreTrainedModel = model,
            renderer: ChatRenderer = renderer,
            done: dict[str, Turns] = done,
        ) -> None:
            done["theirs"] = their_turns(model, renderer, told, sampling, stop)

        kept, anew = interleaved([ours, theirs], 1)
        count = options.episodes * options.turns
        same = done["ours"].ids == done["theirs"].ids
        print(
            f"{name:5}  {count / kept.cpu:8,.0f}  {count / anew.cpu:8,.1f}  {anew.cpu / kept.cpu:5.1f}"
            f" ({anew.wall / kept.wall:5.1f})  {done['ours'].computed:,} and {done['theirs'].computed:,}, "
            f"greedy ids {'equal' if same else 'DIFFER'}",
            flush=True,
        )
        good &= same and done["theirs"].computed >= 3 * done["ours"].computed
    return good


def tell_memory(
    options: argparse.Namespace, told: list[list[str]], tokenizer: PreTrainedTokenizerFast
) -> None:
    renderer = ChatRenderer(tokenizer)
    lengths = [
        sum(len(renderer.encode(text)) + options.answer + 4 for text in texts[: turn + 1])
        for texts in told
        for turn in range(len(texts))
    ]
    print(f"\nMemory: an episode that waits, in the middle of its {options.turns} turns")
    print("model  dtype     bytes of a token  bytes of an episode  episodes in 4 GiB")
    for name in options.models:
        for dtype in (torch.float32, torch.bfloat16):
            policy = LocalPolicy(make(name, tokenizer, dtype), tokenizer)
            one = policy.cache_bytes(64) // 64
            mean = float(np.mean([policy.cache_bytes(length) for length in lengths]))
            print(f"{name:5}  {str(dtype)[6:]:8}  {one:16,}  {mean:19,.0f}  {4 * 2**30 / mean:17,.0f}")
    print(f"(mean length {np.mean(lengths):,.0f} tokens, longest {max(lengths):,})")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--part", choices=["all", "answers", "turns", "memory"], default="all")
    parser.add_argument("--models", nargs="+", choices=list(SIZES), default=["5m", "27m"])
    parser.add_argument("--dtypes", nargs="+", choices=list(DTYPES), default=list(DTYPES))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--groups", nargs="+", type=int, default=[1, 8], help="answers to each prompt")
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--answer", type=int, default=8, help="most tokens of an agent's turn")
    parser.add_argument("--deterministic", action="store_true", help="measure that mode, too")
    parser.add_argument("--vllm", action="store_true", help="measure vLLM, too")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    told = household_observations(options.episodes, options.turns)
    tokenizer = train_tokenizer([text for episode in told for text in episode], 1024)
    if options.part in ("all", "answers"):
        compare_answers(options, tokenizer)
    if options.part in ("all", "memory"):
        tell_memory(options, told, tokenizer)
    good = options.part not in ("all", "turns") or compare_turns(options, told, tokenizer)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
