"""Tests with the real vLLM, where it is installed: see `make test-vllm`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agentgym.policies.models import ModelConfig, make_model, save_model
from agentgym.policies.tokenizer import train_tokenizer
from tests.policies.conftest import SENTENCES, sharpen

if find_spec("vllm") is None:
    collect_ignore_glob = ["test_*.py"]

TINY = ModelConfig(hidden_size=64, layers=2, heads=4, kv_heads=2, head_dim=32, mlp_size=128, max_context=512)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(SENTENCES * 5, 400)


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A model that the test may change."""
    return tiny_model(tokenizer)


def tiny_model(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return sharpen(make_model(TINY, tokenizer, seed=1, device="cpu", dtype=torch.float32)).eval()


@pytest.fixture(scope="session")
def saved(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as a directory."""
    folder = tmp_path_factory.mktemp("model")
    save_model(tiny_model(tokenizer), tokenizer, folder)
    return folder
