from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
)

from agentgym.core.errors import ConfigError
from agentgym.policies.local import LocalPolicy
from agentgym.policies.packed import open_forward
from tests.policies.conftest import SIZES


def mistral(window: int | None) -> Any:
    return MistralForCausalLM(MistralConfig(**SIZES, sliding_window=window))


def test_recurrent_models_are_refused() -> None:
    model: Any = MambaForCausalLM(MambaConfig(vocab_size=99, hidden_size=32, num_hidden_layers=2))
    with pytest.raises(ConfigError, match="MambaForCausalLM"):
        open_forward(model, 64)


def test_score_softcapping_is_found_out() -> None:
    config: Any = Gemma2Config(**SIZES, head_dim=8, attn_logit_softcapping=0.05, sliding_window=4096)
    model: Any = Gemma2ForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(20)
    with pytest.raises(ConfigError, match="Gemma2ForCausalLM gives other logits"):
        open_forward(model, 64)


def test_a_sliding_window_limits_the_context(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ConfigError, match="at most 32"):
        LocalPolicy(mistral(32), tokenizer)
    assert LocalPolicy(mistral(32), tokenizer, max_context=32).max_context == 32
    assert LocalPolicy(mistral(None), tokenizer).max_context == 64
