"""Packed attention: token trees in one flat sequence, each token attending along its own path.

The tokens of a micro-batch lie in one sequence of L, so that every other layer works on real tokens alone. How their
attention is computed depends on the device: `tiled_attention` on CPUs, `fused_attention` elsewhere. Both are told the
tree, and never see an L x L mask. Registered with transformers as an attention implementation; `packed_attention`
switches a model to it for a while.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from agentgym.core.errors import ConfigError
from agentgym.training.fused_attention import Blocks, blocks_of, fused_attention
from agentgym.training.tiled_attention import tiled_attention
from agentgym.training.tiles import Tile, tiles_of
from agentgym.training.token_tree import depths
from agentgym.training.turns import Indices

NAME = "agentgym_packed"


@dataclass(slots=True)
class Layout:
    """How the flat tokens are laid out for attention."""

    parent_L: Indices
    plan: list[Tile] | Blocks
    longest: int
    """Number of tokens of the longest path."""
    last_plan: list[Tile] | None = None
    """Of the last layer, where not all of its outputs are read."""
    calls: int = 0
    """How many layers have attended so far."""


def lay_out(parent_L: Indices, device: torch.device) -> Layout:
    """Plan the attention of a tree's tokens."""
    if device.type == "cpu":
        plan = tiles_of(parent_L, np.arange(len(parent_L)), device)
    else:
        plan = blocks_of(parent_L, device)
    return Layout(parent_L, plan, int(depths(parent_L).max()) + 1)


def _attend(
    module: nn.Module,
    query_1HLD: Tensor,
    key_1ELD: Tensor,
    value_1ELD: Tensor,
    attention_mask: Tensor | None,
    *,
    layout: Layout | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention along each path. H query heads, E key heads, D head dimension."""
    name = type(module).__name__
    if layout is None:
        raise ConfigError(f"{name} does not pass keywords on to its attention; train another model.")
    windowed = sliding_window is not None and sliding_window < layout.longest
    if windowed or softcap is not None or s_aux is not None or dropout:
        raise ConfigError(
            f"{name} needs more than plain causal attention (sliding_window={sliding_window}, "
            f"softcap={softcap}, sinks={s_aux is not None}, dropout={dropout}), which packed rows do not offer; "
            "train another model."
        )
    layout.calls += 1
    query_LHD, key_LED, value_LED = (x.transpose(1, 2)[0] for x in (query_1HLD, key_1ELD, value_1ELD))
    scale = query_LHD.shape[-1] ** -0.5 if scaling is None else scaling
    plan = layout.plan
    if layout.last_plan is not None and layout.calls == _layers(module):
        plan = layout.last_plan
    if isinstance(plan, Blocks):
        return fused_attention(query_LHD, key_LED, value_LED, scale, plan)[None], None
    return tiled_attention(query_LHD, key_LED, value_LED, scale, plan)[None], None


def _no_mask(*_: Any, **__: Any) -> None:
    return None


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, _no_mask)


def _layers(module: nn.Module) -> int:
    """Return how many layers a model, or the model of an attention, has."""
    config: Any = module.config
    layers: int = config.get_text_config().num_hidden_layers
    return layers


def check_attended(model: PreTrainedModel, layout: Layout) -> None:
    """Raise `ConfigError` unless every layer has attended through `layout`: a layer that mixes tokens in
    another way (a recurrent state, say) would mix tokens of different paths."""
    layers = _layers(model)
    if layout.calls != layers:
        raise ConfigError(
            f"{type(model).__name__} has {layers} layers, of which {layout.calls} attend through transformers' "
            "attention interface; packed rows need all of them to. Train another model."
        )


@contextmanager
def packed_attention(model: PreTrainedModel) -> Generator[None]:
    """Let `model` take packed rows: inside, its forward needs `layout` and `position_ids`."""
    before: Any = model.config._attn_implementation  # pyright: ignore[reportPrivateUsage]
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def read_at(model: PreTrainedModel, layout: Layout, tokens: Tensor) -> Generator[None]:
    """Let the last layer of `model` compute no more than what is read: inside, outputs of other tokens than
    `tokens` (indices into the flat sequence) mean nothing.

    Every token still has its keys and values there. What is left out are queries (on CPUs) and the layer's MLP,
    the larger half of it, where it goes by that name.
    """
    read: Indices = np.unique(tokens.cpu().numpy())
    if isinstance(layout.plan, list):
        layout.last_plan = tiles_of(layout.parent_L, read, tokens.device)
    with _applied_to(_last_mlp(model), torch.from_numpy(read).to(tokens.device), len(layout.parent_L)):
        yield


def _last_mlp(model: PreTrainedModel) -> nn.Module | None:
    """Return the MLP of the last layer, where every layer has one."""
    every: Any = model
    found: list[nn.Module] = [part for name, part in every.named_modules() if name.endswith(".mlp")]
    return found[-1] if found and len(found) == _layers(model) else None


@contextmanager
def _applied_to(module: nn.Module | None, tokens: Tensor, length: int) -> Generator[None]:
    """Let a module that works token by token see only some of them; for the others it returns 0."""
    if module is None:
        yield
        return

    def some(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (given[0].index_select(1, tokens), *given[1:])

    def back(_: nn.Module, given: tuple[Tensor, ...], result_1NH: Tensor) -> Tensor:
        all_1LH = result_1NH.new_zeros(1, length, result_1NH.shape[-1])
        return all_1LH.index_copy(1, tokens, result_1NH)

    hooks = [module.register_forward_pre_hook(some), module.register_forward_hook(back)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
