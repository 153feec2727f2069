"""Combinations that do not fit: each rule says why, and names the nearest choice that works.

A rule looks at a recipe whose keys are all right one by one. Adding a rule is adding a function to `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from agentgym.training.agent_rules import conversation_to_write_anew, one_answer_to_replay
from agentgym.training.credit_rules import outcomes_counted_once
from agentgym.training.loss_rules import (
    centre_to_clip_around,
    turns_in_sequence,
    two_policies_to_compare,
    whole_pairs,
)
from agentgym.training.offline_rules import critic_to_ask, plain_sum_of_pairs, recorded_by_itself
from agentgym.training.rollout_rules import (
    expert_to_ask,
    expert_to_learn_from,
    logprobs_to_train_on,
    members_to_spare,
    memory_of_what_happened,
    same_beginning,
    something_to_play,
    support_to_spare,
)

if TYPE_CHECKING:
    from agentgym.training.recipe import Recipe

Rule: TypeAlias = "Callable[[Recipe], str | None]"
"""Returns what is wrong with a recipe and what to choose instead, or None."""


def broken_rules(recipe: Recipe) -> list[str]:
    """Return what does not fit in a recipe."""
    return [problem for rule in RULES if (problem := rule(recipe)) is not None]


def tokenizer_needs_text(recipe: Recipe) -> str | None:
    """A tokenizer of one's own is trained on demonstrations."""
    if recipe.model.scratch is None or recipe.warm_start is not None:
        return None
    return (
        "`model.scratch` needs a `warm_start`: its tokenizer is trained on demonstrations. Add a table "
        "`[warm_start]`, or give `model.path` instead."
    )


def whole_rows_for_all_tokens(recipe: Recipe) -> str | None:
    """Learning to predict observations needs each of them once."""
    if not recipe.warm_start or recipe.warm_start.train_on != "all" or recipe.agent.history == "full":
        return None
    return '`warm_start.train_on = "all"` needs `agent.history = "full"`; use "completions"'


def groups_to_compare(recipe: Recipe) -> str | None:
    """A group of one has nothing to compare with."""
    if recipe.rollout.group_size > 1 or getattr(recipe.advantage, "singleton", "") != "zero":
        return None
    return (
        f"`rollout.group_size = 1` leaves every advantage of {recipe.advantage.name!r} 0: a group of one has "
        "nothing to compare with. Set `rollout.group_size` to 2 or more."
    )


def teacher_to_ask(recipe: Recipe) -> str | None:
    """Parts that compare with a teacher need one, and a teacher needs to be asked."""
    asked = recipe.needs & {"teacher", "teacher_distributions"}
    if asked and recipe.teacher.name == "none":
        return (
            "a part compares the policy with a teacher, but `teacher` is 'none': set `teacher.name` to 'model' "
            "with `teacher.path`, or to 'self'."
        )
    if not asked and recipe.teacher.name != "none":
        return (
            f"nothing asks the teacher {recipe.teacher.name!r}: add the shaping {{name = 'teacher'}} or the "
            "regulariser {name = 'distillation'}, or leave `teacher` out."
        )
    return None


def gap_to_correct(recipe: Recipe) -> str | None:
    """A ratio to the sampler makes up for the gap already."""
    if recipe.gap_action != "correct" or not recipe.ratio.to_sampler:
        return None
    return (
        f"`gap_action` is 'correct', but the ratio {recipe.ratio.name!r} is taken to the sampler and weighs the gap "
        "already: set `gap_action` to 'stop' and `gap_limit` to what is bearable, or take the ratio 'token'."
    )


RULES: tuple[Rule, ...] = (
    tokenizer_needs_text,
    whole_rows_for_all_tokens,
    groups_to_compare,
    outcomes_counted_once,
    teacher_to_ask,
    expert_to_ask,
    expert_to_learn_from,
    logprobs_to_train_on,
    members_to_spare,
    support_to_spare,
    memory_of_what_happened,
    same_beginning,
    something_to_play,
    gap_to_correct,
    turns_in_sequence,
    whole_pairs,
    plain_sum_of_pairs,
    critic_to_ask,
    recorded_by_itself,
    two_policies_to_compare,
    centre_to_clip_around,
    one_answer_to_replay,
    conversation_to_write_anew,
)
