"""Rules about learning from pairs, critics and recorded episodes; see `agentgym.training.rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from agentgym.training.critics.regressions import Expectile, MonteCarlo
from agentgym.training.losses.preference import PairLoss

if TYPE_CHECKING:
    from agentgym.training.recipe import Recipe


def critic_to_ask(recipe: Recipe) -> str | None:
    """What is judged needs a critic that judges it."""
    heads = recipe.critic.heads
    nearest = MonteCarlo.part_name if "quality" not in recipe.advantage.judged else Expectile.part_name
    missing = [head for head in recipe.advantage.judged if head not in heads]
    if missing:
        return (
            f"the advantage {recipe.advantage.name!r} asks for the {missing[0]} of turns, which the critic "
            f"{recipe.critic.name!r} does not judge. Set `critic` to {nearest!r}."
        )
    if heads and not recipe.advantage.judged:
        return (
            f"the critic {recipe.critic.name!r} would learn for nobody: the advantage {recipe.advantage.name!r} "
            "does not ask it. Leave it out, or set `advantage` to 'leftover', 'implicit' or 'improvement'."
        )
    if recipe.extraction.samples and "quality" not in heads:
        return (
            f"the extraction {recipe.extraction.name!r} chooses among answers by their quality, which the critic "
            f"{recipe.critic.name!r} does not judge. Set `critic` to 'expectile'."
        )
    return None


def plain_sum_of_pairs(recipe: Recipe) -> str | None:
    """Losses over pairs are means already."""
    weight_R = recipe.aggregation.weights(torch.tensor([1, 3]), torch.tensor([0, 1]))
    if not isinstance(recipe.clip, PairLoss) or bool((weight_R == 1).all()):
        return None
    return (
        f"the clip {recipe.clip.name!r} is a mean over pairs already, which the aggregation "
        f"{recipe.aggregation.name!r} would weigh anew. Set `aggregation` to "
        '{name = "constant", tokens = 1, rows = "one"}, the plain sum.'
    )


def recorded_by_itself(recipe: Recipe) -> str | None:
    """A replay draws on what the run has played."""
    if recipe.data.on_policy or recipe.replay.name == "none":
        return None
    return (
        f"the replay {recipe.replay.name!r} draws on the run's own episodes, of which there are none with `data` "
        f"{recipe.data.name!r}. Leave one of them out."
    )
