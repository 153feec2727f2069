"""Exponential averages of a model's weights."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import torch
from safetensors import torch as safetensors_torch
from transformers import PreTrainedModel

from agentgym.core.errors import CheckpointError


class WeightAverage:
    """A copy of a model that follows it: each `update` makes it decay x what it was + (1 - decay) x the model.

    Kept in float32 whatever the model's dtype, in which small steps would be rounded away.
    """

    def __init__(self, model: PreTrainedModel, decay: float) -> None:
        self.model: PreTrainedModel = deepcopy(model).float().requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, model: PreTrainedModel) -> None:
        """Take a step towards the weights of `model`."""
        for own, new in zip(self.model.parameters(), model.parameters(), strict=True):
            own.lerp_(new.to(own.dtype), 1.0 - self.decay)

    def save(self, path: Path) -> None:
        """Write the weights to a safetensors file."""
        save_weights(self.model, path)

    def load(self, path: Path) -> None:
        """Read back what `save` wrote; raises `CheckpointError` where the file is not there."""
        if not path.is_file():
            raise CheckpointError(
                f"The checkpoint {path.parent} has no {path.name}: it was made with another recipe. Resume the "
                "run with the recipe it was begun with."
            )
        load_weights(self.model, path)


def save_weights(model: PreTrainedModel, path: Path) -> None:
    """Write a model's weights to a safetensors file."""
    tensors = {name: own.detach().cpu().contiguous() for name, own in model.named_parameters()}
    safetensors_torch.save_file(tensors, path)


@torch.no_grad()
def load_weights(model: PreTrainedModel, path: Path) -> None:
    """Read back what `save_weights` wrote, in place."""
    saved = safetensors_torch.load_file(path)
    for name, own in model.named_parameters():
        own.copy_(saved[name])
