from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.tokenizer import train_tokenizer

SIZES: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
"""A small model of transformers."""

SENTENCES = (
    "You arrive at cabinet 3. On the cabinet 3, you see a mug 1, a plate 2 and a saltshaker 1.",
    "You open the fridge 1. In it, you see an apple 1, an egg 3 and a tomato 12.",
    "Nothing happens.",
    "Your task is to: put a clean mug in coffeemachine.",
    "go to cabinet 3",
    "take mug 1 from cabinet 3",
)
TINY = ModelConfig(hidden_size=32, layers=2, heads=4, kv_heads=2, head_dim=8, mlp_size=64, max_context=512)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(SENTENCES * 5, 400)


def sharpen(model: PreTrainedModel) -> PreTrainedModel:
    """Make the next-token distributions of a random model peaked, each context its own."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(6.0)
    return model


@pytest.fixture(scope="session")
def model(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return sharpen(make_model(TINY, tokenizer, seed=1, device="cpu", dtype=torch.float32)).eval()


@pytest.fixture
def own_model(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A model that the test may change."""
    return sharpen(make_model(TINY, tokenizer, seed=1, device="cpu", dtype=torch.float32)).eval()


def _llama(vocab_size: int) -> Any:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab_size,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=1,
            max_position_embeddings=512,
        )
    )


def _mistral(vocab_size: int) -> Any:
    return MistralForCausalLM(
        MistralConfig(
            vocab_size=vocab_size,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            sliding_window=None,
        )
    )


def _gpt2(vocab_size: int) -> Any:
    return GPT2LMHeadModel(GPT2Config(vocab_size=vocab_size, n_embd=32, n_layer=2, n_head=4, n_positions=512))


def _gpt_neox(vocab_size: int) -> Any:
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=vocab_size,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=512,
        )
    )


OTHER_MODELS: dict[str, Callable[[int], Any]] = {
    "llama": _llama,
    "mistral": _mistral,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
}


@pytest.fixture(params=["qwen3", *OTHER_MODELS])
def any_model(
    request: pytest.FixtureRequest, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> PreTrainedModel:
    """One model of each supported kind."""
    if request.param == "qwen3":
        return model
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = OTHER_MODELS[request.param](len(tokenizer))
    made.generation_config.eos_token_id = None
    made.generation_config.pad_token_id = 0
    return sharpen(made).eval()


@torch.no_grad()
def full_logprobs(
    model: PreTrainedModel, context: Sequence[int], completion: Sequence[int], temperature: float = 1.0
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Log-probabilities of a completion from one plain forward over everything."""
    forward: Any = model
    ids = torch.tensor([[*context, *completion]])
    logits = forward(input_ids=ids, use_cache=False).logits[0, len(context) - 1 : -1]
    logp = torch.log_softmax(logits.float() / temperature, dim=-1)
    return logp.gather(1, ids[0, len(context) :, None])[:, 0].numpy()
