"""The decoder computed from weights alone: which models it takes, and that it says what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from agentgym.policies.decoder import Decoder
from agentgym.policies.extents import Extent
from agentgym.policies.kv_cache import KeyValueCache, RowSpan
from agentgym.policies.packed import ModuleForward, open_forward
from tests.policies.conftest import SIZES, sharpen

LLAMA3_ROTARY = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
FAMILY: dict[str, Callable[[], Any]] = {
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=8)),
    "qwen3, untied": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=16, tie_word_embeddings=False)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, rope_parameters=LLAMA3_ROTARY)),
    "llama, biased": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=None)),
}


def made(make: Callable[[], Any]) -> Any:
    """A model of a family with every number that training could change unlike its start."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(7)
        model = sharpen(make())
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def last_logits(forward: Any, ids: list[int]) -> torch.Tensor:
    cache = KeyValueCache(64, 64)
    cache.grow(len(ids))
    extent, most = Extent(0, 64), len(ids) - 1
    forward(cache, [RowSpan(extent, 0, most)], ids[:-1], [most - 1])
    return forward(cache, [RowSpan(extent, most, 1)], ids[-1:], [0])[0].float()


def own_logits(model: Any, ids: list[int]) -> torch.Tensor:
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].float()


@pytest.mark.parametrize("family", FAMILY)
@torch.inference_mode()
def test_the_whole_family_is_computed_from_its_weights(family: str) -> None:
    model = made(FAMILY[family])
    forward = open_forward(model, 64).forward
    assert isinstance(forward, Decoder)
    ids = list(range(7, 40))
    expected = own_logits(model, ids)
    torch.testing.assert_close(
        last_logits(forward, ids), expected, atol=2e-5 * float(expected.abs().max()), rtol=0
    )


@pytest.mark.parametrize("family", ["qwen3", "llama", "mistral"])
@torch.inference_mode()
def test_half_precision_is_no_further_from_the_truth_than_the_models_own(family: str) -> None:
    exact = made(FAMILY[family])
    model = made(FAMILY[family]).to(torch.bfloat16)
    exact.load_state_dict(model.state_dict())
    forward = open_forward(model, 64).forward
    assert isinstance(forward, Decoder)
    ours, own = torch.zeros(0), torch.zeros(0)
    for start in range(1, 30, 4):
        ids = list(range(start, start + 35))
        truth = own_logits(exact, ids)
        ours = torch.cat([ours, last_logits(forward, ids) - truth])
        own = torch.cat([own, own_logits(model, ids) - truth])
    assert float(own.square().mean()) > 0
    assert float(ours.square().mean()) < 1.3 * float(own.square().mean())


@torch.inference_mode()
def test_new_weights_are_taken_when_told() -> None:
    model = made(FAMILY["qwen3"])
    forward = open_forward(model, 64).forward
    ids = list(range(7, 30))
    for parameter in model.parameters():
        parameter.mul_(0.8).add_(0.01)
    forward.weights_changed()
    torch.testing.assert_close(last_logits(forward, ids), own_logits(model, ids), atol=1e-4, rtol=1e-4)


class Doubled(torch.nn.Linear):
    """Like an adapter: another product under the name of a plain one."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(input)


def _with_adapter() -> Any:
    model = FAMILY["qwen3"]()
    model.model.layers[1].mlp.up_proj = Doubled(32, 48, bias=False)
    return model


def _louder(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
    return 1.5 * output


def _hooked() -> Any:
    model = FAMILY["qwen3"]()
    model.model.layers[0].register_forward_hook(_louder)
    return model


def _gelu() -> Any:
    return LlamaForCausalLM(LlamaConfig(**SIZES, hidden_act="gelu"))


def _dynamic() -> Any:
    rotary = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    return LlamaForCausalLM(LlamaConfig(**SIZES, rope_parameters=rotary))


@pytest.mark.parametrize("make", [_with_adapter, _hooked, _gelu, _dynamic])
@torch.inference_mode()
def test_what_differs_is_computed_by_its_own_modules(make: Callable[[], Any]) -> None:
    model = made(make)
    forward = open_forward(model, 64).forward
    assert isinstance(forward, ModuleForward)
    ids = list(range(7, 30))
    torch.testing.assert_close(last_logits(forward, ids), own_logits(model, ids), atol=1e-4, rtol=1e-4)
