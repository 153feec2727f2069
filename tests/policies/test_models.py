from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agentgym.core.errors import CheckpointError, ConfigError
from agentgym.policies.models import (
    ModelConfig,
    default_dtype,
    load_model,
    make_model,
    save_model,
)


def weights(model: PreTrainedModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def small(tokenizer: PreTrainedTokenizerFast, seed: int) -> PreTrainedModel:
    config = ModelConfig(hidden_size=16, layers=1, heads=2, kv_heads=1, head_dim=8, mlp_size=16)
    return make_model(config, tokenizer, seed=seed, device="cpu")


def test_the_seed_alone_decides_the_weights(tokenizer: PreTrainedTokenizerFast) -> None:
    state = torch.get_rng_state()
    first = weights(small(tokenizer, 7))
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(weights(small(tokenizer, 7)), first)
    assert not torch.equal(weights(small(tokenizer, 8)), first)


def test_the_model_knows_the_tokens_of_its_tokenizer(tokenizer: PreTrainedTokenizerFast) -> None:
    config = small(tokenizer, 0).config
    assert config.vocab_size == len(tokenizer)
    assert config.eos_token_id == tokenizer.eos_token_id


def test_a_saved_model_loads_as_it_was(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = small(tokenizer, 3)
    save_model(model, tokenizer, tmp_path)
    assert {file.suffix for file in tmp_path.iterdir()} <= {".safetensors", ".json", ".jinja"}
    loaded = load_model(tmp_path, device="cpu")
    assert torch.equal(weights(loaded.model), weights(model))
    assert loaded.tokenizer.get_vocab() == tokenizer.get_vocab()
    assert not loaded.model.training


def test_dtype_can_be_chosen(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    save_model(small(tokenizer, 3), tokenizer, tmp_path)
    assert load_model(tmp_path, device="cpu", dtype=torch.bfloat16).model.dtype is torch.bfloat16
    assert load_model(tmp_path, device="cpu").model.dtype is torch.float32


def test_default_dtype_follows_the_device() -> None:
    assert default_dtype(torch.device("cuda")) is torch.bfloat16
    assert default_dtype(torch.device("mps")) is torch.float32


def test_pickled_weights_are_refused_unread(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    save_model(small(tokenizer, 3), tokenizer, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    with pytest.raises(CheckpointError, match=r"pickled weights \(pytorch_model\.bin\)"):
        load_model(tmp_path)


def test_a_directory_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no weights"):
        load_model(tmp_path)


def test_truncated_weights_are_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    save_model(small(tokenizer, 3), tokenizer, tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="No model could be loaded"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"layers": 0}, "model.layers must be at least 1, got 0"),
        ({"heads": 4, "kv_heads": 3}, "multiple"),
        ({"head_dim": 7}, "even"),
    ],
)
def test_impossible_sizes_are_refused(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelConfig(**sizes)
