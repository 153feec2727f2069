"""Rules about how a recipe's batch becomes a loss; see `agentgym.training.rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgym.training.advantages.pairs import Future, Pair
from agentgym.training.losses.corrections import Rejection, TruncatedImportance
from agentgym.training.losses.preference import PairLoss
from agentgym.training.schedules.base import Simultaneous
from agentgym.training.schedules.sequential import Sequential
from agentgym.training.shaping.returns import KlReward, TokenReturns

if TYPE_CHECKING:
    from agentgym.training.recipe import Recipe


def turns_in_sequence(recipe: Recipe) -> str | None:
    """A sequential schedule hands the advantages of whole turns from step to step."""
    if not isinstance(recipe.schedule, Sequential):
        return None
    token_credit = [part.name for part in recipe.shaping if isinstance(part, TokenReturns | KlReward)]
    if token_credit:
        return (
            f"the schedule 'sequential' carries one advantage per turn from step to step, but the shaping "
            f"{token_credit[0]!r} gives each token a return of its own over later turns. Leave it out, with an "
            "advantage such as 'group_mean', or set `schedule` to 'simultaneous'."
        )
    if recipe.critic.heads:
        return (
            f"the schedule 'sequential' chains what whole trajectories earned, but the critic {recipe.critic.name!r} "
            "judges each turn on its own. Set `critic` to 'none', or `schedule` to 'simultaneous'."
        )
    if isinstance(recipe.clip, PairLoss):
        return (
            f"the clip {recipe.clip.name!r} compares whole rollouts, which the schedule 'sequential' takes apart. "
            "Set `schedule` to 'simultaneous'."
        )
    return None


def whole_pairs(recipe: Recipe) -> str | None:
    """Losses over pairs need pairs: an advantage that makes them, of groups that stay together."""
    paired = isinstance(recipe.advantage, Pair | Future)
    if not isinstance(recipe.clip, PairLoss):
        return None
    if not paired:
        return (
            f"the clip {recipe.clip.name!r} compares pairs of rollouts, but the advantage "
            f"{recipe.advantage.name!r} makes none. Set `advantage` to 'pair', or to 'future' with the clip 'refuel'."
        )
    if recipe.data.on_policy and recipe.rollout.group_size == 1:
        return "`rollout.group_size = 1` leaves nothing to pair. Set it to 2 or more."
    if isinstance(recipe.schedule, Simultaneous) and recipe.schedule.minibatches > 1:
        return (
            f"`schedule.minibatches = {recipe.schedule.minibatches}` would tear pairs apart, for the trajectories of "
            "a group may be in different ones. Set it to 1; `tokens_per_microbatch` bounds the memory."
        )
    return None


def two_policies_to_compare(recipe: Recipe) -> str | None:
    """What weighs the proximal policy against the sampler needs them to be two."""
    idle = [part.name for part in recipe.corrections if isinstance(part, TruncatedImportance | Rejection)]
    if recipe.proximal.name != "sampler" or not idle:
        return None
    return (
        f"the correction {idle[0]!r} is about the proximal policy against the sampler, but `proximal` is the "
        "sampler itself: nothing would be corrected. Set `proximal` to 'recomputed' or 'average'."
    )


def centre_to_clip_around(recipe: Recipe) -> str | None:
    """The centred clip is for ratios to the sampler, and its centre is what the proximal policy does."""
    if recipe.clip.name != "centred" or (recipe.ratio.to_sampler and recipe.proximal.name != "sampler"):
        return None
    return (
        f"the clip 'centred' does not fit the ratio {recipe.ratio.name!r} with `proximal` {recipe.proximal.name!r}. "
        "Set `ratio` to 'behaviour' and `proximal` to 'recomputed', or `clip` to 'ppo'."
    )
