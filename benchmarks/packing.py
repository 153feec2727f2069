"""Training on multi-turn episodes: packed rows against one sample per turn, in seconds and tokens.

    python -m benchmarks.packing --turns 5 15 30

Forward and backward of the same loss over the same random episodes in three layouts, side by side in one run:

    padded    one row per turn with its whole context, padded to the longest of all (verl-agent's layout)
    unpadded  the same rows without their padding
    packed    `agentgym.training.packing`: what turns share is computed once

for three histories: all turns in full; the opening and the last two exchanges; and all turns, but with the
reasoning stripped from earlier answers. All episodes have the same system prompt. The two peers' gradients are
compared with the packed ones, which fails the run where they differ by more than 1e-4 of the largest. Seconds are
the least of the repeats, which go round the layouts in turn; one thread by default.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode, Outcome, StopReason, Turn
from agentgym.training.attention import packed_attention
from agentgym.training.packing import micro_batches, pack
from agentgym.training.scoring import fast_matmul, forward_logits

Ids = NDArray[np.int32]
VOCABULARY = 4096
SYSTEM = 200
OBSERVATION = (40, 101)
ANSWER = (15, 46)
"""Tokens: at least, below."""
REASONING = (20, 66)
"""Tokens before each answer, in the third history only."""
HISTORIES = ("full", "window of 2", "reasoning stripped")


class Sample(NamedTuple):
    """A turn by itself: context and answer, and the length of the answer."""

    ids: Ids
    answer: int


def context_of(history: str, opening: Ids, told: Sequence[Ids], answers: Sequence[Ids]) -> Ids:
    """Return the context of the next answer after `answers` (without their reasoning); `told[n]` is what came
    after answer n."""
    exchanges = list(zip(answers, told, strict=True))
    if history == "window of 2":
        exchanges = exchanges[-2:]
    return np.concatenate([opening, *(part for exchange in exchanges for part in exchange)])


def play(history: str, turns: int, seed: int) -> tuple[Episode, list[Sample]]:
    """Make a random episode, both as a trace and as one sample per turn."""
    random = np.random.default_rng(seed)

    def tokens(low: int, high: int) -> Ids:
        return random.integers(0, VOCABULARY, random.integers(low, high)).astype(np.int32)

    system = np.random.default_rng(0).integers(0, VOCABULARY, SYSTEM).astype(np.int32)
    opening = np.concatenate([system, tokens(*OBSERVATION)])
    told: list[Ids] = []
    answers: list[Ids] = []
    samples: list[Sample] = []
    made: list[Turn] = []
    before: Ids = np.empty(0, np.int32)
    for number in range(turns):
        context = context_of(history, opening, told, answers)
        answers.append(tokens(*ANSWER))
        answer = answers[-1]
        if history == "reasoning stripped":
            answer = np.concatenate([tokens(*REASONING), answer])
        samples.append(Sample(np.concatenate([context, answer]), len(answer)))
        shorter = min(len(before), len(context))
        different = np.flatnonzero(before[:shorter] != context[:shorter])
        start = int(different[0]) if len(different) else shorter
        made.append(_turn(number, turns, start, context[start:], answer))
        before = samples[-1].ids
        told.append(tokens(*OBSERVATION))
    task = Task("t", "test/Env-v0", Split.TRAIN)
    return Episode(f"{seed}", task, "g", made, Outcome.SUCCESS, 1.0, StopReason.COMPLETED, seed), samples


def _turn(number: int, turns: int, start: int, prompt: Ids, answer: Ids) -> Turn:
    return Turn(
        observation="",
        action="",
        reward=0.0,
        terminated=number == turns - 1,
        truncated=False,
        valid=True,
        state_key="",
        policy_version=0,
        prompt_start=start,
        prompt_ids=prompt,
        completion_ids=answer,
        logprobs=np.zeros(len(answer), np.float32),
        loss_mask=np.ones(len(answer), np.int8),
    )


def model_m() -> PreTrainedModel:
    """A Qwen3 of 5.0 million weights: 256 wide, 4 layers, 8 heads of 32 on 4 key heads."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
    )
    return Qwen3ForCausalLM(config).eval()


def run_packed(model: PreTrainedModel, episodes: Sequence[Episode], tokens: int) -> int:
    """Forward and backward over packed rows; return the number of tokens computed."""
    computed = 0
    with packed_attention(model), fast_matmul(model.device):
        for batch in micro_batches(pack(episodes), tokens, model.device):
            cross_entropy(forward_logits(model, batch), batch.target_ids_N, reduction="sum").backward()
            computed += len(batch.ids_L)
    return computed


def run_per_turn(model: PreTrainedModel, samples: Sequence[Sample], tokens: int, *, padded: bool) -> int:
    """The same with a row per turn: padded in front, several at a time, or one at a time as it is."""
    longest = max(len(sample.ids) for sample in samples)
    size = max(tokens // longest, 1) if padded else 1
    computed = 0
    call: Any = model
    with fast_matmul(model.device):
        for first in range(0, len(samples), size):
            chosen = samples[first : first + size]
            width = longest if padded else len(chosen[0].ids)
            ids = torch.stack([_left_padded(sample.ids, width) for sample in chosen])
            real = torch.tensor([[0] * (width - len(s.ids)) + [1] * len(s.ids) for s in chosen])
            most = max(sample.answer for sample in chosen)
            logits = call(
                input_ids=ids,
                attention_mask=real if padded else None,
                position_ids=(real.cumsum(1) - 1).clamp(min=0),
                logits_to_keep=most + 1,
                use_cache=False,
            ).logits
            answered = torch.tensor([[0] * (most - s.answer) + [1] * s.answer for s in chosen])
            losses = cross_entropy(
                logits[:, :-1].flatten(0, 1).float(), ids[:, -most:].flatten(), reduction="none"
            )
            (losses * answered.flatten()).sum().backward()
            computed += ids.numel()
    return computed


def _left_padded(ids: Ids, width: int) -> Tensor:
    return torch.from_numpy(np.pad(ids, (width - len(ids), 0)).astype(np.int64))


class Measured(NamedTuple):
    """One layout's work: tokens, seconds of CPU and by the clock, and the gradient it led to."""

    tokens: int
    cpu_s: list[float]
    wall_s: list[float]
    gradient: Tensor


def measure(model: PreTrainedModel, ways: dict[str, Callable[[], int]], repeats: int) -> dict[str, Measured]:
    """Run the ways in turn, `repeats` times."""
    found: dict[str, Measured] = {}
    for repeat in range(repeats):
        for name, way in ways.items():
            model.zero_grad(set_to_none=True)
            cpu, wall = process_time(), perf_counter()
            tokens = way()
            spent = process_time() - cpu, perf_counter() - wall
            if repeat == 0:
                gradient = torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])
                found[name] = Measured(tokens, [], [], gradient)
            found[name].cpu_s.append(spent[0])
            found[name].wall_s.append(spent[1])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, nargs="+", default=[5, 15, 30])
    parser.add_argument("--histories", nargs="+", choices=HISTORIES, default=HISTORIES)
    parser.add_argument("--episodes", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--micro-batch", type=int, default=4096, help="tokens")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, out = model_m(), Console(width=120)
    table = Table("history", "turns", "layout", "tokens", "CPU s", "s", "CPU time", "gradient off by")
    worst = 0.0
    for history in options.histories:
        for turns in options.turns:
            ways = layouts(model, history, turns, options.episodes, options.micro_batch)
            found = measure(model, ways, options.repeats)
            worst = max(worst, *(add_row(table, history, turns, name, found) for name in found))
            table.add_section()
    out.print(table)
    return 0 if worst <= 1e-4 else 1


def layouts(
    model: PreTrainedModel, history: str, turns: int, episodes: int, limit: int
) -> dict[str, Callable[[], int]]:
    """Return the three ways to train on the same new episodes."""
    played = [play(history, turns, seed) for seed in range(episodes)]
    whole = [episode for episode, _ in played]
    samples = [sample for _, own in played for sample in own]
    return {
        "packed": lambda: run_packed(model, whole, limit),
        "unpadded": lambda: run_per_turn(model, samples, limit, padded=False),
        "padded": lambda: run_per_turn(model, samples, limit, padded=True),
    }


def add_row(table: Table, history: str, turns: int, name: str, found: dict[str, Measured]) -> float:
    """Tell what was measured of a layout; return how far its gradient is from the packed one."""
    base, measured = found["packed"], found[name]
    off = float((measured.gradient - base.gradient).abs().max() / base.gradient.abs().max())
    cpu = min(measured.cpu_s)
    table.add_row(
        history,
        f"{turns}",
        name,
        f"{measured.tokens:,}",
        f"{cpu:.2f}",
        f"{min(measured.wall_s):.2f}",
        f"{cpu / min(base.cpu_s):.1f} x",
        f"{off:.0e}",
    )
    return off


if __name__ == "__main__":
    sys.exit(main())
