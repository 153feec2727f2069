"""A critic at work: its heads, their optimiser, and what they say of turns.

Legend: R turns, H features.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from safetensors import torch as safetensors_torch
from torch import Tensor, nn

from agentgym.core.errors import CheckpointError
from agentgym.rollout.collect import derive_seed
from agentgym.training.checkpoint import load_optimiser, save_optimiser
from agentgym.training.critics.base import Learned, Transitions
from agentgym.training.critics.features import Features
from agentgym.training.turns import TurnTable, Values

FOLDER = "critic"


class Head(nn.Module):
    """One number from features, by one hidden layer. The features are put to one scale first."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(size, elementwise_affine=False),
            nn.Linear(size, hidden),
            nn.GELU(),
            nn.Linear(hidden, 1),
        )

    def forward(self, features_RH: Tensor) -> Tensor:
        """Return one number per row, shape (R,)."""
        return self.layers(features_RH)[:, 0]


class Estimator:
    """The heads of a critic over features of `size`; what it learns depends on `seed` and its data alone."""

    def __init__(
        self, critic: Learned, size: int, *, seed: int = 0, device: torch.device | None = None
    ) -> None:
        self.critic = critic
        self._seed = seed
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(seed, "critic"))
            heads = nn.ModuleDict({name: Head(size, critic.hidden) for name in critic.heads})
        self._heads = heads.to(device)
        self._targets = deepcopy(self._heads).requires_grad_(False)
        self._optimiser = torch.optim.AdamW(
            self._heads.parameters(), lr=critic.lr, weight_decay=critic.weight_decay
        )

    def learn(self, turns: TurnTable, features: Features, iteration: int) -> dict[str, float]:
        """Take the critic's passes over an iteration's turns; return metrics."""
        transitions = Transitions.of(turns, features)
        random = np.random.default_rng(derive_seed(self._seed, "critic", iteration))
        losses = [
            self._step(transitions[torch.from_numpy(rows)])
            for _ in range(self.critic.passes)
            for rows in _batches(random.permutation(len(transitions)), self.critic.batch)
        ]
        return {"critic_loss": float(np.mean(losses)) if losses else 0.0}

    def _step(self, batch: Transitions) -> float:
        self._optimiser.zero_grad(set_to_none=True)
        loss = self.critic.loss(dict(self._heads.items()), dict(self._targets.items()), batch)
        loss.backward()
        self._optimiser.step()
        with torch.no_grad():
            for slow, own in zip(self._targets.parameters(), self._heads.parameters(), strict=True):
                slow.lerp_(own, self.critic.polyak)
        return float(loss.detach())

    @torch.no_grad()
    def value(self, features: Features) -> Values:
        """Return the value of each turn's state, shape (R,)."""
        return _numbers(self._heads["value"](features.state_RH))

    @torch.no_grad()
    def quality(self, features: Features) -> Values:
        """Return the quality of each turn's answer by the slow copy of that head, shape (R,)."""
        return _numbers(self._targets["quality"](features.answer_RH))

    def save(self, folder: Path) -> None:
        """Write heads and optimiser into a checkpoint."""
        path = folder / FOLDER
        path.mkdir()
        safetensors_torch.save_file(self._tensors(), path / "heads.safetensors")
        save_optimiser(path, self._optimiser)

    def load(self, folder: Path) -> None:
        """Go on as a checkpoint has it; raises `CheckpointError` where it has no critic or one of another shape."""
        path = folder / FOLDER
        if not (path / "heads.safetensors").is_file():
            raise CheckpointError(f"The checkpoint {folder} has no critic; it was made with another recipe.")
        saved = safetensors_torch.load_file(path / "heads.safetensors")
        own = self._tensors()
        if {name: tensor.shape for name, tensor in saved.items()} != {n: t.shape for n, t in own.items()}:
            raise CheckpointError(
                f"The checkpoint {folder} has a critic of another shape; it was made with another recipe."
            )
        with torch.no_grad():
            for name, tensor in self._live().items():
                tensor.copy_(saved[name])
        load_optimiser(path, self._optimiser)

    def _live(self) -> dict[str, Tensor]:
        sides = {"heads": self._heads, "targets": self._targets}
        return {
            f"{side}.{name}": p for side, module in sides.items() for name, p in module.named_parameters()
        }

    def _tensors(self) -> dict[str, Tensor]:
        return {name: tensor.detach().cpu().contiguous() for name, tensor in self._live().items()}


def _batches(order: np.ndarray, size: int) -> list[np.ndarray]:
    return [order[start : start + size] for start in range(0, len(order), size)]


def _numbers(values_R: Tensor) -> Values:
    return values_R.double().cpu().numpy()
