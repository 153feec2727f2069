"""Attention over token trees equals each model's own attention over each path by itself."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from agentgym.core.errors import ConfigError
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode, Outcome, StopReason, Turn
from agentgym.training.attention import lay_out, packed_attention
from agentgym.training.fused_attention import blocks_of, fused_attention
from agentgym.training.packing import MicroBatch, micro_batches, pack
from agentgym.training.scoring import forward_logits
from agentgym.training.tiled_attention import tiled_attention
from agentgym.training.tiles import KEY_STEP, QUERIES, QUERY_STEP, tiles_of
from agentgym.training.turns import Indices

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "attention_dropout": 0.0,
}


def qwen3(kv_heads: int = 2) -> PreTrainedModel:
    return Qwen3ForCausalLM(Qwen3Config(**SIZES, num_key_value_heads=kv_heads, head_dim=8))


def gpt2() -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=512))


SERVED: dict[str, Callable[[], PreTrainedModel]] = {
    "qwen3, grouped heads": qwen3,
    "qwen3, one key head": lambda: qwen3(1),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "mistral, within its window": lambda: MistralForCausalLM(
        MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=500)
    ),
    "gpt2": gpt2,
}


def cut_episode(seed: int, cuts: list[float], sizes: tuple[int, int] = (1, 12), ids: int = 3) -> Episode:
    """Each turn but the first keeps a share of what came before; few ids, so that much agrees by chance too."""
    random = np.random.default_rng(seed)
    made: list[Turn] = []
    length = 0
    for number, cut in enumerate([0.0, *cuts]):
        prompt, answer = (random.integers(0, ids, random.integers(*sizes)).astype(np.int32) for _ in range(2))
        start = round(cut * length)
        length = start + len(prompt) + len(answer)
        mask = random.integers(0, 2, len(answer)).astype(np.int8)
        mask[-1] = 1
        logp = np.zeros(len(answer), np.float32)
        last = number == len(cuts)
        made.append(Turn("", "", 0.0, last, False, True, "", 0, start, prompt, answer, logp, mask))
    task = Task("t", "test/Env-v0", Split.TRAIN)
    return Episode(f"{seed}", task, "g", made, Outcome.SUCCESS, 1.0, StopReason.COMPLETED, seed)


def by_itself(model: PreTrainedModel, episodes: list[Episode]) -> Tensor:
    """The loss of every trained token: a forward over each turn's whole context, as transformers does it."""
    losses: list[Tensor] = []
    call: Any = model
    for episode in episodes:
        before: list[int] = []
        for turn in episode.turns:
            before = [*before[: turn.prompt_start], *turn.prompt_ids.tolist(), *turn.completion_ids.tolist()]
            count = len(turn.completion_ids)
            logits = call(torch.tensor([before])).logits[0, -count - 1 : -1]
            loss = cross_entropy(logits, torch.tensor(before[-count:]), reduction="none")
            losses.append(loss[torch.from_numpy(turn.loss_mask > 0)])
    return torch.cat(losses)


def packed(model: PreTrainedModel, episodes: list[Episode], tokens: int) -> Tensor:
    batches: list[MicroBatch] = []
    losses: list[Tensor] = []
    with packed_attention(model):
        for batch in micro_batches(pack(episodes), tokens, model.device):
            batches.append(batch)
            losses.append(cross_entropy(forward_logits(model, batch), batch.target_ids_N, reduction="none"))
    token_N = np.concatenate([batch.token_N for batch in batches])
    assert sorted(token_N.tolist()) == list(range(len(token_N)))  # every trained token once
    return torch.cat(losses)[np.argsort(token_N)]


def assert_same(model: PreTrainedModel, episodes: list[Episode], tokens: int) -> None:
    model.eval()
    expected = by_itself(model, episodes)
    # A factor of its own for each token, so that no mix-up cancels out.
    factor_N = torch.linspace(0.5, 1.5, len(expected))
    (expected * factor_N).sum().backward()
    twin = copy.deepcopy(model)
    twin.zero_grad()
    found = packed(twin, episodes, tokens)
    (found * factor_N).sum().backward()
    assert float((found - expected).detach().abs().max()) <= 1e-5
    largest = max(float(w.grad.abs().max()) for w in model.parameters() if w.grad is not None)
    for (name, one), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        if one.grad is not None and other.grad is not None:
            assert float((one.grad - other.grad).abs().max()) <= 1e-5 * largest, name


@settings(max_examples=30, deadline=None)
@given(
    cuts=st.lists(st.lists(st.floats(0, 1), max_size=5), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
    tokens=st.sampled_from([30, 10_000]),
)
def test_losses_and_gradients_are_those_of_one_sample_per_turn(
    cuts: list[list[float]], seed: int, tokens: int
) -> None:
    torch.manual_seed(seed)
    assert_same(qwen3(), [cut_episode(seed + n, own) for n, own in enumerate(cuts)], tokens)


@pytest.mark.parametrize("make", SERVED.values(), ids=SERVED.keys())
def test_other_models_agree_too(make: Callable[[], PreTrainedModel]) -> None:
    torch.manual_seed(0)
    cuts = [[1.0, 0.4, 0.9], [0.5, 1.0], [1.0]]
    # Longer than a tile of queries, and of few lengths, so that blocks hold several runs.
    assert_same(make(), [cut_episode(n, own, (60, 90), ids=50) for n, own in enumerate(cuts)], 10_000)


def test_what_groups_share_is_computed_once() -> None:
    first = cut_episode(0, [1.0, 1.0])
    twin = replace(first, id="twin")
    (batch,) = micro_batches(pack([first, twin]), 1000, torch.device("cpu"))
    assert len(batch.ids_L) == sum(len(turn.prompt_ids) + len(turn.completion_ids) for turn in first.turns)
    assert len(batch.token_N) == 2 * sum(int(turn.loss_mask.sum()) for turn in first.turns)


@pytest.mark.parametrize("chosen", [[0], [1], [2], [0, 2]])
def test_a_part_of_a_row_scores_as_in_the_whole(chosen: list[int]) -> None:
    torch.manual_seed(0)
    model = qwen3().eval()
    (row,) = pack([cut_episode(3, [0.5, 0.7], (5, 9))])
    part = row.only(np.isin(row.turn, chosen))
    assert part is not None
    assert set(part.turn.tolist()) == set(chosen)
    assert len(part.ids) <= len(row.ids)
    with packed_attention(model), torch.no_grad():
        whole, some = (
            forward_logits(model, next(micro_batches([r], 1000, model.device))) for r in (row, part)
        )
    torch.testing.assert_close(some, whole[torch.from_numpy(np.isin(row.turn, chosen))], rtol=1e-5, atol=1e-5)
    assert row.only(np.zeros(len(row.turn), np.bool_)) is None


def tree(seed: int, rows: int) -> Indices:
    """The parents of the tokens of a few rows, the longest of some hundred tokens."""
    cuts = [[1.0, 0.5, 0.8], [0.3, 1.0], []]
    episodes = [cut_episode(seed + n, cuts[n % 3], (40, 90), ids=20) for n in range(rows)]
    (batch,) = micro_batches(pack(episodes), 10_000, torch.device("cpu"))
    return batch.layout.parent_L


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_tiles_equal_the_kernel_of_accelerators(rows: int) -> None:
    torch.manual_seed(0)
    parent_L, cpu = tree(rows, rows), torch.device("cpu")
    query, key, value = (torch.randn(len(parent_L), heads, 8, requires_grad=True) for heads in (4, 2, 2))
    results: list[list[Tensor]] = []
    for out in (
        tiled_attention(query, key, value, 0.3, tiles_of(parent_L, np.arange(len(parent_L)), cpu)),
        fused_attention(query, key, value, 0.3, blocks_of(parent_L, cpu)),
    ):
        results.append([out, *torch.autograd.grad((out * out.detach().cos()).sum(), (query, key, value))])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 1000), st.integers(1, 6), st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_each_query_is_in_one_tile_and_sees_its_path(seed: int, rows: int, share: float) -> None:
    parent_L = tree(seed, rows)
    wanted = np.flatnonzero(np.random.default_rng(seed).random(len(parent_L)) <= share)
    found: list[int] = []
    for tile in tiles_of(parent_L, wanted, torch.device("cpu")):
        query_Q, keys = tile.query_Q.numpy(), tile.key_K.numpy()
        found += (queries := query_Q[: tile.queries].tolist())
        assert len(query_Q) % QUERY_STEP == len(keys) % KEY_STEP == 0
        assert len(query_Q) <= QUERIES
        sees = np.ones((len(query_Q), len(keys)), np.bool_)
        sees[:, len(keys) - tile.hidden_QM.shape[1] :] = tile.hidden_QM.numpy() == 0
        for query, sees_K in zip(queries, sees, strict=False):
            assert keys[sees_K].tolist() == path(parent_L, query)
    assert found == wanted.tolist()


def path(parent_L: Indices, token: int) -> list[int]:
    found: list[int] = []
    while token >= 0:
        found.append(token)
        token = int(parent_L[token])
    return found[::-1]


@pytest.mark.parametrize("make", SERVED.values(), ids=SERVED.keys())
def test_the_last_layer_computes_only_what_is_read(make: Callable[[], PreTrainedModel]) -> None:
    model, seen = make().eval(), list[int]()

    def note(_: nn.Module, given: tuple[Tensor, ...], __: Tensor) -> None:
        seen.append(given[0].shape[1])

    call: Any = model
    for name, module in call.named_modules():
        if name.endswith(".mlp"):
            module.register_forward_hook(note)
    (batch,) = micro_batches(pack([cut_episode(0, [1.0, 0.5])]), 1000, model.device)
    with packed_attention(model):
        forward_logits(model, batch)
        assert seen == [len(batch.ids_L), len(np.unique(batch.source_N.numpy()))]
        layout = lay_out(batch.layout.parent_L, model.device)
        call(batch.ids_L[None], position_ids=batch.positions_L[None], layout=layout)
    assert seen[2:] == [len(batch.ids_L)] * 2, "and all of it for those who ask for all"


def refused(model: PreTrainedModel) -> str:
    batch = next(micro_batches(pack([cut_episode(0, [1.0])]), 1000, model.device))
    with pytest.raises(ConfigError) as caught, packed_attention(model.eval()):
        forward_logits(model, batch)
    return str(caught.value)


def test_models_that_do_more_than_attend_along_a_path_are_refused() -> None:
    windowed = MistralForCausalLM(MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=4))
    assert "sliding_window=4" in refused(windowed)
    capped = Gemma2ForCausalLM(Gemma2Config(**SIZES, num_key_value_heads=2, head_dim=8))
    assert "softcap=50.0" in refused(capped)
    recurrent = MambaForCausalLM(
        MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, state_size=4)
    )
    assert "attention" in refused(recurrent)
