"""Rules about the agent that plays; see `agentgym.training.rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentgym.training.recipe import Recipe


def one_answer_to_replay(recipe: Recipe) -> str | None:
    """What replays an expert or another rollout dictates one answer to each decision."""
    if recipe.agent.kind != "planner":
        return None
    chosen = {
        "warm_start": recipe.warm_start is not None,
        "data": recipe.data.asks_for_oracle,
        "curriculum": recipe.curriculum.asks_for_expert,
        "branching": recipe.branching.name != "none",
    }
    asked = [key for key, there in chosen.items() if there]
    if not asked:
        return None
    return (
        f"{', '.join(asked)} would dictate answers, but the agent 'planner' gives several to each decision. Set "
        f"`agent.kind` to 'chat' or 'react', or leave {'it' if len(asked) == 1 else 'them'} out and start from a "
        "`model.path` that follows instructions."
    )


def conversation_to_write_anew(recipe: Recipe) -> str | None:
    """What tells an episode again, with more or less in it, takes turns that are one message and one answer."""
    if recipe.agent.kind in ("chat", "react"):
        return None
    chosen = {
        "teacher": recipe.teacher.name == "self",
        "side_task": recipe.side_task.name != "none",
        "guidance": recipe.guidance.name != "none",
    }
    asked = [f"the {key} {getattr(recipe, key).name!r}" for key, there in chosen.items() if there]
    measured = {
        "`agent.remind_above`": recipe.agent.remind_above is not None,
        "`evaluation.drift_episodes`": recipe.evaluation.drift_episodes > 0,
    }
    asked += [key for key, there in measured.items() if there]
    if not asked:
        return None
    return (
        f"{' and '.join(asked)} would tell conversations anew, which takes turns of one message and one answer: set "
        f"`agent.kind` to 'chat' instead of {recipe.agent.kind!r}."
    )
