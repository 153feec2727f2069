"""`Update`: what a recipe says about an update besides the optimiser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from agentgym.training.losses.objective import Objective
from agentgym.training.proximal import Proximal, Sampler
from agentgym.training.recipe import GapAction, Recipe
from agentgym.training.schedules.base import Schedule, Simultaneous
from agentgym.training.shaping.base import Shaping


@dataclass(frozen=True, slots=True)
class Update:
    """The objective and the order of its steps."""

    objective: Objective = field(default_factory=Objective)
    schedule: Schedule = field(default_factory=Simultaneous)
    shaping: Sequence[Shaping] = ()
    proximal: Proximal = field(default_factory=Sampler)
    gap_action: GapAction = "stop"
    """What happens where the sampler's gap is above the objective's limit."""
    judged: bool = False
    """Whether a critic reads the features of the reference."""

    @classmethod
    def of(cls, recipe: Recipe) -> Update:
        """Return what `recipe` says."""
        objective = Objective(
            recipe.ratio,
            recipe.clip,
            recipe.regularisers,
            recipe.aggregation,
            recipe.rollout.temperature,
            recipe.gap_limit if recipe.data.on_policy else math.inf,
            recipe.corrections,
            recipe.guidance.loss if recipe.guidance.name != "none" else None,
        )
        judged = bool(recipe.critic.heads)
        return cls(objective, recipe.schedule, recipe.shaping, recipe.proximal, recipe.gap_action, judged)

    @property
    def needs(self) -> frozenset[str]:
        """The columns and distributions that its parts ask for."""
        features = frozenset({"reference"} if self.judged else ())
        return self.objective.needs.union(
            self.proximal.needs, features, *(part.needs for part in self.shaping)
        )

    @property
    def reads_entropy(self) -> bool:
        """Whether a part asks for the entropies before the update, not only for those under the loss."""
        fitted = (part for part in self.objective.parts if part.fits)
        return any("entropy" in part.needs for part in (*self.shaping, *fitted))
