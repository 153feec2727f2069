"""The compiled kernels against torch's operations, and how they are made."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from agentgym.policies.attention import pack
from agentgym.policies.decoder import Decoder
from agentgym.policies.extents import Extent
from agentgym.policies.kernels import Heads, Kernels, Norm
from agentgym.policies.kernels.building import cache_folder, kernels_for, native_kernels
from agentgym.policies.kernels.native import NativeKernels
from agentgym.policies.kernels.plain import PlainKernels
from agentgym.policies.kv_cache import KeyValueCache, RowSpan

CPU = torch.device("cpu")
DTYPES = [torch.float32, torch.bfloat16]
SIDES = st.integers(1, 8).map(lambda half: 2 * half) | st.sampled_from([32, 64, 128])


def native(dtype: torch.dtype) -> Kernels:
    """The compiled kernels; where there are none, that is a failure."""
    kernels = kernels_for(CPU, dtype)
    assert isinstance(kernels, NativeKernels)
    return kernels


def assert_close(ours: torch.Tensor, expected: torch.Tensor) -> None:
    assert ours.dtype == expected.dtype
    tolerance = 1e-5 if ours.dtype == torch.float32 else 2e-2
    torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=25)
@given(tokens=st.integers(1, 9), size=st.integers(1, 70), seed=st.integers(0, 1000))
def test_norms_and_gates(dtype: torch.dtype, tokens: int, size: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    hidden, added = torch.randn(2, tokens, size, generator=random).to(dtype)
    norm = Norm(torch.randn(size, generator=random).to(dtype), 1e-6)
    for more in (None, added):
        summed, expected_sum = hidden.clone(), hidden.clone()
        ours = native(dtype).add_norm(summed, more, norm)
        assert_close(ours, PlainKernels().add_norm(expected_sum, more, norm))
        assert torch.equal(summed, expected_sum)
    both = 20 * torch.randn(tokens, 2 * size, generator=random).to(dtype)
    assert_close(native(dtype).gate(both), PlainKernels().gate(both))


class Case:
    """Rows of several lengths, half of them with one new token, in extents of two sizes."""

    def __init__(self, dtype: torch.dtype, lengths: list[int], heads: Heads, normed: bool, seed: int) -> None:
        self.random = torch.Generator().manual_seed(seed)
        self.dtype, self.heads = dtype, heads
        half = (len(lengths) + 1) // 2
        self.rows = [
            RowSpan(Extent(128 * slot, 64 if length <= 64 else 128), length - new, new)
            for slot, length in enumerate(lengths)
            for new in [1 if slot < half else min(length, 5)]
        ]
        tokens, size = sum(row.new for row in self.rows), heads.size
        self.projected = self.randn(tokens, (heads.query + 2 * heads.key) * size)
        weight = torch.randn(heads.query + heads.key, size, generator=self.random)
        self.norm = Norm(weight, 1e-6) if normed else None
        angles = torch.randn(tokens, 1, size // 2, generator=self.random)
        self.rotation = torch.polar(torch.ones_like(angles), angles)
        self.before = self.randn(2, 128 * len(lengths) * heads.key, size)

    def randn(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=self.random).to(self.dtype)

    def attended(self, kernels: Kernels) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys, values and what is attended to."""
        cache = KeyValueCache(128 * len(self.rows), 128)
        cache.grow(128 * len(self.rows))
        values = self.projected.view(len(self.projected), -1, self.heads.size)[:, -self.heads.key :]
        for held, before in zip(cache.layer(0, values, values)[:2], self.before, strict=True):
            held[: len(before)] = before
        batch = pack(cache, self.rows, CPU, leave_alone=kernels.attends_alone)
        query, held = kernels.place(self.projected, self.heads, self.norm, self.rotation, 0, batch)
        out = kernels.attend(query, held, batch, self.heads.size**-0.5)
        return query, held.keys, held.values, out


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 128), min_size=1, max_size=5),
    key_heads=st.integers(1, 3),
    groups=st.integers(1, 3),
    size=SIDES,
    normed=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_heads_are_placed_and_attended(
    dtype: torch.dtype, lengths: list[int], key_heads: int, groups: int, size: int, normed: bool, seed: int
) -> None:
    case = Case(dtype, lengths, Heads(groups * key_heads, key_heads, size), normed, seed)
    for ours, expected in zip(case.attended(native(dtype)), case.attended(PlainKernels()), strict=True):
        assert_close(ours, expected)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tokens", [1, 63, 64, 200, 4097])
def test_tokens_are_drawn(dtype: torch.dtype, tokens: int) -> None:
    random = torch.Generator().manual_seed(tokens)
    logits = (3 * torch.randn(300, tokens, generator=random)).to(dtype)
    logits[:, 1::7] = float("-inf")
    uniforms = torch.rand(300, generator=random)
    uniforms[0], uniforms[1] = 0.0, 1.0
    temperature = torch.tensor([0.0, 0.5, 1.0]).repeat_interleave(100)
    ours, expected = (
        kernels.draw(logits, uniforms, temperature) for kernels in (native(dtype), PlainKernels())
    )
    assert torch.equal(ours.ids_B[:100], expected.ids_B[:100])
    same = ours.ids_B == expected.ids_B  # but for those at the edge of their share
    assert same.sum() >= 298
    assert ours.logprobs_B.isfinite().all()
    torch.testing.assert_close(ours.logprobs_B[same], expected.logprobs_B[same], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("compiled", [True, False])
def test_logits_that_are_not_finite_show(compiled: bool, bad: float) -> None:
    kernels = native(torch.float32) if compiled else PlainKernels()
    logits = torch.zeros(3, 100)
    logits[1, 40] = bad
    drawn = kernels.draw(logits, torch.full((3,), 0.5), torch.ones(3))
    assert drawn.logprobs_B.isfinite().tolist() == [True, False, True]
    assert 0 <= int(drawn.ids_B[1]) < 100


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_not_hidden(dtype: torch.dtype, bad: float) -> None:
    kernels = native(dtype)
    hidden = torch.ones(2, 8, dtype=dtype)
    hidden[1, 3] = bad
    finite, broken = kernels.add_norm(hidden, None, Norm(torch.ones(8, dtype=dtype), 1e-6)).isfinite().all(1)
    assert finite
    assert not broken
    assert not kernels.gate(hidden)[1].isfinite().all() or bad == float("-inf")  # silu(-inf) is 0
    case = Case(dtype, [9, 70, 7], Heads(4, 2, 32), True, 0)
    case.projected[1, 5] = bad
    out = case.attended(kernels)[-1]
    assert out[0].isfinite().all()
    assert out[2:].isfinite().all()
    assert not out[1].isfinite().all()


def test_other_numbers_and_devices_take_torch() -> None:
    assert isinstance(kernels_for(CPU, torch.float16), PlainKernels)
    assert isinstance(kernels_for(torch.device("meta"), torch.float32), PlainKernels)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """A cache folder of its own, in which nothing is compiled yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native_kernels.cache_clear()
    yield monkeypatch
    native_kernels.cache_clear()


def test_they_are_compiled_once(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert native_kernels() is not None
    (library,) = cache_folder().iterdir()
    assert library.is_relative_to(tmp_path)
    assert library.parent.stat().st_mode & 0o777 == 0o700
    made = library.stat()
    script = (
        "from agentgym.policies.kernels.building import native_kernels; assert native_kernels() is not None"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ.copy())
    assert list(cache_folder().iterdir()) == [library]
    assert (library.stat().st_ino, library.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)


@pytest.mark.parametrize(
    ("compiler", "told"),
    [("no-such-compiler", "No C++ compiler"), ("false", "false failed"), ("true", "No such file")],
)
def test_without_a_compiler_there_is_torch(
    fresh: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, compiler: str, told: str
) -> None:
    fresh.setenv("CXX", compiler)
    with caplog.at_level(logging.INFO):
        assert isinstance(kernels_for(CPU, torch.float32), PlainKernels)
    (record,) = caplog.records
    assert told in record.getMessage()


def test_a_decoder_without_a_compiler_says_the_same(
    fresh: pytest.MonkeyPatch, model: PreTrainedModel
) -> None:
    rows = [RowSpan(Extent(64, 64), 0, 1), RowSpan(Extent(0, 64), 0, 9)]
    next_rows = [RowSpan(row.extent, row.new, 1) for row in rows]

    def logits() -> torch.Tensor:
        decoder, cache = Decoder(model), KeyValueCache(128, 64)
        cache.grow(128)
        decoder(cache, rows, list(range(10)), [])
        return decoder(cache, next_rows, [3, 4], [0, 1])

    with torch.inference_mode():
        compiled = logits()
        fresh.setenv("CXX", "no-such-compiler")
        native_kernels.cache_clear()
        torch.testing.assert_close(logits(), compiled, rtol=1e-4, atol=1e-4)


def test_a_folder_that_cannot_be_written_leaves_torch(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "agentgym").write_text("a file where the folder should be")
    assert isinstance(kernels_for(CPU, torch.float32), PlainKernels)
