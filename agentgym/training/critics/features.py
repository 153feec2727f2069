"""What a frozen model makes of conversations: its last hidden state before and after each answer.

Legend: R turns, H features, N trained tokens, L tokens of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agentgym.core.trace import Episode
from agentgym.training.attention import check_attended, packed_attention
from agentgym.training.packing import micro_batches, pack
from agentgym.training.scoring import fast_matmul
from agentgym.training.tokens import TokenTable


class Features(NamedTuple):
    """Float32, on the model's device. Zeros for turns without trained tokens."""

    state_RH: Tensor
    """At the last token before the turn's answer."""
    answer_RH: Tensor
    """At the last token of the answer."""


@torch.no_grad()
def turn_features(
    model: PreTrainedModel, episodes: Sequence[Episode], tokens_per_microbatch: int
) -> Features:
    """Return the features of every turn, in the order of `TurnTable`; one packed forward pass."""
    tokens = TokenTable.from_episodes(episodes)
    turns = sum(len(episode.turns) for episode in episodes)
    first_N = tokens.position_N == 0
    last_N = np.append(first_N[1:], True)
    inner: Any = model.base_model
    size = int(model.config.hidden_size)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    features = Features(*(torch.zeros(turns, size, device=model.device) for _ in range(2)))
    with packed_attention(model), fast_matmul(model.device):
        for batch in micro_batches(pack(episodes), tokens_per_microbatch, model.device):
            output = inner(
                input_ids=batch.ids_L[None],
                position_ids=batch.positions_L[None],
                layout=batch.layout,
                use_cache=False,
            )
            check_attended(model, batch.layout)
            hidden_LH: Tensor = output.last_hidden_state[0].float()
            turn_N = tokens.turn_N[batch.token_N]
            starts, ends = first_N[batch.token_N], last_N[batch.token_N]
            features.state_RH[turn_N[starts]] = hidden_LH[batch.source_N[starts]]
            features.answer_RH[turn_N[ends]] = hidden_LH[batch.target_N[ends]]
    return features
