"""What does not fit in how a recipe gives credit; see `agentgym.training.rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentgym.training.recipe import Recipe


def outcomes_counted_once(recipe: Recipe) -> str | None:
    """A tracked success rate takes in every outcome it is shown, as the policy's own and as new."""
    if not recipe.advantage.remembers:
        return None
    if recipe.replay.name != "none":
        return (
            f"the advantage {recipe.advantage.name!r} would count the outcomes that `replay` repeats as new ones: "
            "set `replay.name` to 'none', or choose an advantage without memory, such as 'group_mean'."
        )
    if recipe.guidance.name != "none":
        return (
            f"the advantage {recipe.advantage.name!r} would count what another policy did as the policy's own: "
            "set `guidance.name` to 'none', or choose an advantage without memory, such as 'group_mean'."
        )
    return None
