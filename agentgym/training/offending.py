"""What stopped a run: a number that is none, where it is, and the micro-batch it is in, kept as files.

Legend: N trained tokens of a micro-batch, L its tokens, R turns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import torch as safetensors_torch
from torch import Tensor

from agentgym.core.errors import AgentGymError
from agentgym.core.trace import Episode
from agentgym.training.packing import MicroBatch, pack
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import TurnTable, Values


@dataclass(frozen=True, slots=True)
class Offending:
    """The first value of a micro-batch that is no finite number."""

    quantity: str
    """What it should have been: reward, advantage, log-probability, ratio, loss ..."""
    value: float
    episode: str
    """Its id, or its place in the batch where ids are not known."""
    turn: int
    """Counted from 0."""
    token: int | None
    """Place among the trained tokens of the turn; None: the value is the whole turn's."""
    token_id: int | None
    tensors: Mapping[str, Tensor]
    """The micro-batch."""

    def __str__(self) -> str:
        token = "" if self.token is None else f"token {self.token} of "
        return (
            f"The {self.quantity} of {token}{self.episode}, turn {self.turn} is {self.value}; the weights "
            "were not changed."
        )

    def save(self, folder: Path, iteration: int) -> Path:
        """Write `iteration-000012.safetensors` with the tensors, and beside it the rest as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"iteration-{iteration:06d}.safetensors"
        tensors = {name: tensor.detach().cpu().clone() for name, tensor in self.tensors.items()}
        safetensors_torch.save_file(tensors, path)
        facts = {
            "iteration": iteration,
            "quantity": self.quantity,
            "value": str(self.value),  # JSON has no infinity
            "episode": self.episode,
            "turn": self.turn,
            "token": self.token,
            "token_id": self.token_id,
            "tensors": {name: list(tensor.shape) for name, tensor in self.tensors.items()},
        }
        path.with_suffix(".json").write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
        return path


class NonFiniteLoss(AgentGymError):
    """The loss, or what it is made of, is not a number; the weights were left as they were."""

    def __init__(self, message: str, offending: Offending | None = None) -> None:
        super().__init__(message)
        self.offending = offending

    @classmethod
    def of(cls, offending: Offending) -> NonFiniteLoss:
        """Return the error that tells of `offending`."""
        return cls(str(offending), offending)


def check_turns(episodes: Sequence[Episode], turns: TurnTable, advantage_R: Values) -> None:
    """Raise `NonFiniteLoss` for the first turn whose reward or advantage is no finite number."""
    for quantity, values_R in (("reward", turns.reward_R), ("advantage", advantage_R)):
        bad = np.flatnonzero(~np.isfinite(values_R))
        if not len(bad):
            continue
        trajectory = int(turns.trajectory_R[bad[0]])
        own = np.flatnonzero(turns.trajectory_R == trajectory)
        rows = pack([episodes[trajectory]])
        ids = [row.ids for row in rows]
        offending = Offending(
            quantity,
            float(values_R[bad[0]]),
            f"episode {episodes[trajectory].id!r}",
            int(turns.turn_R[bad[0]]),
            None,
            None,
            {
                "ids_L": torch.from_numpy(np.concatenate([np.empty(0, np.int32), *ids])),
                "row_lengths": torch.tensor([len(row) for row in ids]),
                "reward_R": torch.from_numpy(turns.reward_R[own]),
                "advantage_R": torch.from_numpy(advantage_R[own]),
            },
        )
        raise NonFiniteLoss.of(offending)


def check_tokens(
    micro: MicroBatch,
    columns: Mapping[str, Tensor],
    weight_N: Tensor,
    tokens: TokenTable,
    turns: TurnTable,
    episodes: Sequence[str],
) -> None:
    """Raise `NonFiniteLoss` for the first token that counts (`weight_N` above 0) and whose value in one of
    `columns` is no finite number; the columns are looked through in their order.

    `episodes` are the ids of the trajectories, where they are known.
    """
    bad_CN = torch.stack([~values.isfinite() for values in columns.values()]) & (weight_N > 0)
    if not bad_CN.any():
        return
    column, index = (int(place) for place in bad_CN.nonzero()[0])
    quantity, values = list(columns.items())[column]
    token = int(micro.token_N[index])
    turn = int(tokens.turn_N[token])
    trajectory = int(turns.trajectory_R[turn])
    offending = Offending(
        quantity,
        float(values[index].detach()),
        f"episode {episodes[trajectory]!r}" if episodes else f"trajectory {trajectory}",
        int(turns.turn_R[turn]),
        int(tokens.position_N[token]),
        int(micro.target_ids_N[index]),
        {
            "ids_L": micro.ids_L,
            "source_N": micro.source_N,
            "target_ids_N": micro.target_ids_N,
            "token_N": torch.from_numpy(micro.token_N),
            "turn_N": torch.from_numpy(tokens.turn_N[micro.token_N]),
            "weight_N": weight_N,
            **{f"{name.replace(' ', '_').replace('-', '_')}_N": value for name, value in columns.items()},
        },
    )
    raise NonFiniteLoss.of(offending)
