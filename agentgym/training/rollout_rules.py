"""Rules about how a recipe's episodes are played; see `agentgym.training.rules`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from agentgym.core.env import AgentEnv
from agentgym.core.errors import AgentGymError
from agentgym.registry import make

if TYPE_CHECKING:
    from agentgym.training.recipe import Recipe


def expert_to_ask(recipe: Recipe) -> str | None:
    """Who replays or shows an expert's solutions needs an expert."""
    for key, part, without in (
        ("curriculum", recipe.curriculum, "'f2b', which needs no expert"),
        ("guidance", recipe.guidance, "'teacher' with guidance.teachers, or leave it 'none'"),
    ):
        expert = getattr(part, "expert", "")
        if not part.asks_for_expert or not expert:
            continue
        if expert == "oracle" and not _has_oracle(recipe):
            return (
                f"the {key} {part.name!r} asks the oracle of {recipe.environment.id}, which has none. Set "
                f"`{key}.expert` to the directory of a run that has solved train tasks, or `{key}` to {without}."
            )
        if expert != "oracle" and not (Path(expert) / "store.sqlite").is_file():
            return (
                f"`{key}.expert` is {expert!r}, but no run is there: give the directory of a run that has "
                f"solved train tasks, or 'oracle', or set `{key}` to {without}."
            )
    return None


def expert_to_learn_from(recipe: Recipe) -> str | None:
    """Plans and demonstrations are the environment's own expert's."""
    if recipe.teacher.asks_for_oracle and not _has_oracle(recipe):
        return (
            f"the teacher's hint 'oracle' is the plan of the expert of {recipe.environment.id}, which has none. Set "
            "`teacher.hint` to 'feedback'."
        )
    if recipe.data.asks_for_oracle and not _has_oracle(recipe):
        return (
            f"`data` is {recipe.data.name!r}, but {recipe.environment.id} has no expert to give them. Set `data` to "
            "'recorded' with `data.path`."
        )
    return None


def _has_oracle(recipe: Recipe) -> bool:
    """Return whether the environment overrides `oracle`; one that cannot be made is complained of elsewhere."""
    try:
        env = make(recipe.environment.id, **recipe.environment.options)
    except (AgentGymError, ImportError):
        return True
    with closing(env):
        return type(env).oracle is not AgentEnv.oracle


def members_to_spare(recipe: Recipe) -> str | None:
    """What is about the members of a group needs several of them."""
    size = recipe.rollout.group_size
    if recipe.guidance.most_replaced >= size:
        return (
            f"`guidance.members = {recipe.guidance.most_replaced}` would replace whole groups of {size}: set it below "
            "`rollout.group_size`."
        )
    if size > 1:
        return None
    if recipe.sampling.compares_outcomes:
        return (
            f"the sampling {recipe.sampling.name!r} keeps every group of one. Set `rollout.group_size` to 2 or "
            "more, or `sampling` to 'prioritised', which needs no group."
        )
    if recipe.branching.name != "none":
        return (
            f"the branching {recipe.branching.name!r} needs members to branch off. Set `rollout.group_size` to 2 "
            "or more."
        )
    return None


def support_to_spare(recipe: Recipe) -> str | None:
    """Some groups become memory, and the others teach."""
    if recipe.memory is None or recipe.memory.support == 0:
        return None
    support, tasks = round(recipe.memory.support * recipe.rollout.tasks), recipe.rollout.tasks
    if 0 < support < tasks:
        return None
    return (
        f"`memory.support = {recipe.memory.support:g}` sets {support} of {tasks} groups aside. Set it so that at least one "
        "is, and one is left to learn from, or `rollout.tasks` higher."
    )


def memory_of_what_happened(recipe: Recipe) -> str | None:
    """What a model imagines is no experience to remember."""
    memory = recipe.memory
    if memory is None or not recipe.imagination.imagines:
        return None
    if memory.support == 0 and memory.retriever != "learned":
        return None
    return (
        f"the imagination {recipe.imagination.name!r} would be remembered as if it had happened: set `memory.support` to 0 "
        "and `memory.retriever` to 'likeness', or `imagination` to 'none'."
    )


def same_beginning(recipe: Recipe) -> str | None:
    """A branch goes on from the conversation of its trunk, which a lottery of its own would change."""
    if recipe.memory is None or not recipe.memory.draws or recipe.branching.name == "none":
        return None
    return (
        f"the branching {recipe.branching.name!r} goes on from a conversation with what its trunk was shown, and the "
        "memory's lottery would draw anew. Set `memory.shown` to 1, or `branching` to 'none'."
    )


def logprobs_to_train_on(recipe: Recipe) -> str | None:
    """vLLM tells the log-probabilities that are left after top-p."""
    if recipe.rollout.engine == "local" or recipe.rollout.top_p == 1:
        return None
    return (
        f"the engine 'vllm' tells no log-probabilities from before `rollout.top_p = {recipe.rollout.top_p}`. Set "
        "`rollout.top_p` to 1, or `rollout.engine` to 'local'."
    )


def something_to_play(recipe: Recipe) -> str | None:
    """Recorded episodes are taken as they are."""
    if recipe.data.on_policy:
        return None
    chosen = {
        "curriculum": recipe.curriculum.name != "none",
        "branching": recipe.branching.name != "none",
        "guidance": recipe.guidance.name != "none",
        "imagination": recipe.imagination.imagines,
        "sampling": recipe.sampling.name != "uniform",
        "memory": recipe.memory is not None,
    }
    asked = [key for key, there in chosen.items() if there]
    if not asked:
        return None
    return (
        f"{', '.join(asked)} would change how episodes are played, but `data` is {recipe.data.name!r}: leave "
        f"{'it' if len(asked) == 1 else 'them'} out, or set `data` to 'rollouts'."
    )
