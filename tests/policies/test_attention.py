from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedModel

from agentgym.policies.attention import (
    evaluation_mode,
    plan_runs,
    slot_attention_in,
    token_positions,
)
from agentgym.policies.extents import Extent
from agentgym.policies.kv_cache import KeyValueCache, RowSpan
from agentgym.policies.packed import Forward, ModuleForward, open_forward


def span(slot: int, cached: int, new: int, size: int = 512) -> RowSpan:
    return RowSpan(Extent(slot * size, size), cached, new)


spans = st.lists(
    st.builds(
        span, st.integers(0, 40), st.integers(0, 300), st.integers(1, 40), st.sampled_from([512, 1024])
    ),
    max_size=30,
    unique_by=lambda row: row.extent,
)


@given(spans, st.floats(0, 1e5))
def test_runs_cover_the_rows_in_order_with_ascending_slots(rows: list[RowSpan], call_cost: float) -> None:
    runs = list(plan_runs(rows, call_cost))
    assert [index for first, last in runs for index in range(first, last)] == list(range(len(rows)))
    for first, last in runs:
        slots = [row.extent.slot for row in rows[first:last]]
        assert slots == sorted(set(slots))
        assert len({row.extent.size for row in rows[first:last]}) == 1


def test_free_calls_are_never_merged_over_a_gap_and_dear_ones_always() -> None:
    rows = [span(0, 100, 1), span(1, 200, 1), span(9, 5, 1)]
    assert list(plan_runs(rows, 0.0)) == [(0, 1), (1, 2), (2, 3)]
    assert list(plan_runs(rows, 1e9)) == [(0, 3)]
    assert list(plan_runs([span(0, 100, 1), span(1, 100, 1)], 0.0)) == [(0, 2)]


def test_positions_follow_what_is_cached() -> None:
    assert token_positions([span(4, 0, 3), span(2, 7, 2)]).tolist() == [0, 1, 2, 7, 8]


def plain_last_logits(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]


def fastest(model: PreTrainedModel) -> Forward:
    return open_forward(model, 64).forward


@pytest.mark.parametrize("make_forward", [ModuleForward, fastest])
@torch.no_grad()
def test_any_cut_into_pieces_gives_the_logits_of_one_forward(
    any_model: PreTrainedModel, make_forward: Callable[[PreTrainedModel], Forward]
) -> None:
    texts = {0: list(range(3, 40)), 3: list(range(50, 61)), 4: list(range(9, 29)), 9: [5, 5, 5, 8]}
    pieces = [  # in each forward: slot -> how many tokens
        {0: 30, 9: 2},
        {3: 1, 4: 19, 9: 1},
        {0: 1, 3: 9},
        {0: 6, 3: 1, 4: 1, 9: 1},
    ]
    forward = make_forward(any_model)
    cache = KeyValueCache(1024, 64)
    cache.grow(1024)
    cached = dict.fromkeys(texts, 0)
    sizes = {0: 64, 3: 128, 4: 64, 9: 64}
    logits: dict[int, torch.Tensor] = {}
    for piece in pieces:
        rows = [span(slot, cached[slot], count, sizes[slot]) for slot, count in piece.items()]
        rows.sort(key=lambda row: (row.new > 1, row.extent.size, row.extent.slot))
        ids = [token for row in rows for token in texts[row.extent.slot][row.cached : row.cached + row.new]]
        last = [sum(row.new for row in rows[: place + 1]) - 1 for place in range(len(rows))]
        output = forward(cache, rows, ids, last)
        for row, row_logits in zip(rows, output, strict=True):
            cached[row.extent.slot] += row.new
            logits[row.extent.slot] = row_logits
    for slot, ids in texts.items():
        assert cached[slot] == len(ids)
        torch.testing.assert_close(logits[slot], plain_last_logits(any_model, ids), atol=2e-4, rtol=1e-4)


@torch.no_grad()
def test_growing_copying_and_wiping_the_cache(model: PreTrainedModel) -> None:
    ids = list(range(10, 30))
    forward = ModuleForward(model)
    cache = KeyValueCache(4096, 512)
    assert cache.grow(64)
    first, second = Extent(0, 64), Extent(2048, 512)
    forward(cache, [RowSpan(first, 0, 19)], ids[:19], [18])
    assert cache.grow(2048)  # what is there stays
    cache.copy(first, second, 19)
    (logits,) = forward(cache, [RowSpan(second, 19, 1)], ids[19:], [0])
    torch.testing.assert_close(logits, plain_last_logits(model, ids), atol=2e-4, rtol=1e-4)
    cache.wipe()
    (wiped,) = forward(cache, [RowSpan(second, 19, 1)], ids[19:], [0])
    assert not torch.allclose(wiped, logits, atol=1e-2)


def test_the_cache_never_outgrows_its_limit() -> None:
    cache = KeyValueCache(1000, 512)
    while cache.grow(300):
        pass
    assert cache.positions == 960  # whole extents of the smallest size


def test_the_model_is_put_back_as_it_was(own_model: PreTrainedModel) -> None:
    own_model.train()
    frozen = next(itertools.islice(own_model.modules(), 3, None))
    frozen.eval()
    config: Any = own_model.config
    before: str = config._attn_implementation

    def fail_inside() -> None:
        with slot_attention_in(own_model):
            assert not own_model.training
            assert config._attn_implementation != before
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert config._attn_implementation == before
    assert own_model.training
    assert not frozen.training
    with evaluation_mode(own_model.eval()):
        pass
    assert not own_model.training
