"""Causal language models: made small from a config, or loaded through safetensors."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.utils import logging

from agentgym.core.errors import CheckpointError, ConfigError
from agentgym.policies.tokenizer import load_tokenizer


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The sizes of a Qwen3 model made from scratch. The default has about 0.9 million weights."""

    hidden_size: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 32
    mlp_size: int = 384
    max_context: int = 2048
    """Most tokens in one conversation."""
    init_std: float = 0.05
    """Standard deviation of the initial weights. The usual 0.02 is for wide models: a narrow one learns to
    copy names far later from it."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.type == "int" and getattr(self, field.name) < 1:
                raise ConfigError(f"model.{field.name} must be at least 1, got {getattr(self, field.name)}.")
        if self.heads % self.kv_heads:
            raise ConfigError(
                f"model.heads ({self.heads}) must be a multiple of model.kv_heads ({self.kv_heads})."
            )
        if self.head_dim % 2:
            raise ConfigError(f"model.head_dim must be even (rotary positions), got {self.head_dim}.")


class LoadedModel(NamedTuple):
    """A model and the tokenizer that belongs to it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def default_device() -> torch.device:
    """Return the best device there is: cuda, else mps, else cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def default_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 on cuda, and float32 elsewhere."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def make_model(
    config: ModelConfig,
    tokenizer: PreTrainedTokenizerBase,
    *,
    seed: int = 0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> PreTrainedModel:
    """Build a Qwen3 with random weights that depend on `seed` alone; the global generators stay untouched."""
    place = torch.device(device) if device is not None else default_device()
    token: Any = tokenizer
    qwen = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        intermediate_size=config.mlp_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        head_dim=config.head_dim,
        max_position_embeddings=config.max_context,
        tie_word_embeddings=True,
        initializer_range=config.init_std,
        eos_token_id=token.eos_token_id,
        pad_token_id=token.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model: Any = Qwen3ForCausalLM(qwen)
    return model.to(device=place, dtype=dtype or default_dtype(place))


def load_model(
    path: str | Path,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> LoadedModel:
    """Load a causal language model and its tokenizer from a directory or hub name.

    Weights are read from safetensors only: pickled weights can run code when opened. Raises
    `CheckpointError` where there is no such model, or no safetensors, or no usable tokenizer.
    """
    _refuse_pickles(Path(path))
    place = torch.device(device) if device is not None else default_device()
    auto: Any = AutoModelForCausalLM
    try:
        with _no_progress_bars():
            model = auto.from_pretrained(str(path), use_safetensors=True, dtype=dtype or default_dtype(place))
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"No model could be loaded from {str(path)!r}: {error}") from error
    return LoadedModel(model.to(device=place).eval(), load_tokenizer(path))


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: str | Path) -> None:
    """Write an ordinary Hugging Face directory (safetensors) that `load_model` reads."""
    with _no_progress_bars():
        model.save_pretrained(str(path))
    tokenizer.save_pretrained(str(path))


@contextmanager
def _no_progress_bars() -> Generator[None]:
    shown: bool = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _refuse_pickles(path: Path) -> None:
    if not path.is_dir() or any(path.glob("*.safetensors")):
        return
    pickles = sorted(
        file.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for file in path.glob(pattern)
    )
    found = f"only pickled weights ({', '.join(pickles)})" if pickles else "no weights"
    raise CheckpointError(
        f"{str(path)!r} holds {found}; agentgym reads safetensors alone. Convert them with "
        "`model.save_pretrained(...)` in the library that made them."
    )
