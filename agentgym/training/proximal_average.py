"""The running average of the policy's weights that the proximal policy `average` is."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from agentgym.core.errors import CheckpointError
from agentgym.training.averaging import load_weights, save_weights
from agentgym.training.proximal import Average
from agentgym.training.tokens import TokenTable

WEIGHTS = "average.safetensors"
COUNTS = "average.json"


class ProximalAverage:
    """theta_bar = sum_i beta^(k - i) theta_i / sum_i beta^(k - i): no step counts for more than its share, not
    even the first. Kept in the model's own precision.
    """

    def __init__(self, part: Average, model: PreTrainedModel) -> None:
        self.part = part
        self.model: PreTrainedModel = deepcopy(model).requires_grad_(False).eval()
        self.total = 1.0
        """The denominator: the sum of the weights of all steps so far."""
        self.near = 1.0
        """Share of the last batch's tokens that were near the average, before any new start."""
        self.restarts = 0

    @torch.no_grad()
    def update(self, model: PreTrainedModel) -> None:
        """Take in the weights after a step."""
        self.total = self.part.beta * self.total + 1.0
        for mean, weight in zip(self.model.parameters(), model.parameters(), strict=True):
            mean.lerp_(weight, 1.0 / self.total)

    def strayed(self, tokens: TokenTable) -> bool:
        """Note how many of the tokens are near the average, their proximal policy, and say whether too few are."""
        distance_N = np.abs(tokens.old_logp_N - tokens.sampler_logp_N)[~tokens.guided_N]
        self.near = float((distance_N <= np.log(self.part.band)).mean()) if len(distance_N) else 1.0
        return self.near < self.part.near

    @torch.no_grad()
    def restart(self, model: PreTrainedModel) -> None:
        """Begin anew with the weights as they are."""
        for mean, weight in zip(self.model.parameters(), model.parameters(), strict=True):
            mean.copy_(weight)
        self.total = 1.0
        self.restarts += 1

    def metrics(self) -> dict[str, float]:
        """Return what the last batch's tokens said of the average."""
        return {"average_near_share": self.near, "average_restarts": float(self.restarts)}

    def save(self, folder: Path) -> None:
        """Write it into a checkpoint."""
        save_weights(self.model, folder / WEIGHTS)
        counts = {"total": self.total, "restarts": self.restarts}
        (folder / COUNTS).write_text(json.dumps(counts) + "\n", "utf-8")

    def load(self, folder: Path) -> None:
        """Read back what `save` wrote; raises `CheckpointError` where it is not there."""
        if not (folder / WEIGHTS).is_file():
            raise CheckpointError(
                f"The checkpoint {folder} has no {WEIGHTS}: it was made with another `proximal`. Resume the run "
                "with the recipe that it was begun with."
            )
        load_weights(self.model, folder / WEIGHTS)
        counts = json.loads((folder / COUNTS).read_text("utf-8"))
        self.total, self.restarts = counts["total"], counts["restarts"]
