"""Advantages over groups, states and histories."""

from __future__ import annotations

from typing import Any

import numpy as np

from agentgym.training.advantages.hierarchy import Hierarchy
from agentgym.training.advantages.similarity import similar_states
from agentgym.training.advantages.step import StepGroup
from agentgym.training.turns import codes
from tests.golden.cases import Inputs
from tests.golden.compare import Found, kind
from tests.golden.tables import Credit, mask_of, padded


def states(group: list[str], anchor: list[Any]) -> np.ndarray[Any, Any]:
    """The code of (group, state) of each row."""
    return codes(zip(group, map(str, anchor), strict=True))


EPISODE = ["episode_adv", "episode_adv_trajlevel_stats"]
TOTAL = ["advantages", "advantages_scalar", "advantages_scalar_trajlevel_stats"]


@kind("gigpo", prose=["epsilon", "token_level_rewards"], normalised=[*EPISODE, "step_adv", *TOTAL])
def gigpo(given: Inputs) -> Found:
    group, valid, state_R = given["group"], given["action_valid"], states(given["group"], given["anchor"])
    credit = Credit.of(
        group, given["traj"], given["step_env_reward"], state_R=state_R, valid_R=np.array(valid, np.bool_)
    )
    coefficient, weight = given["invalid_action_penalty_coef"], given["step_advantage_w"]
    part = StepGroup(
        weight=weight,
        gamma=given["gamma"],
        std=given["mode"] == "mean_std_norm",
        invalid_action_penalty=coefficient,
    ).as_published()
    by_trajectory = part.model_copy(update={"statistics": "first_turn"})

    def advantage(part: StepGroup, **settings: float) -> np.ndarray[Any, Any]:
        return credit.back(part.model_copy(update=settings)(credit.turns))

    returns_R = credit.back(credit.turns.returns(given["gamma"]))
    mask_BL = mask_of(given["response_mask"])
    total_R, episode_R = advantage(part), advantage(part, weight=0.0)
    return {
        "discounted_return": returns_R,
        "step_reward_after_penalty": returns_R - coefficient * (1 - np.array(valid)),
        "step_group": state_R,
        "episode_adv": episode_R,
        "episode_adv_trajlevel_stats": advantage(by_trajectory, weight=0.0),
        "step_adv": advantage(part, weight=1.0) - episode_R,
        "advantages_scalar": total_R,
        "advantages_scalar_trajlevel_stats": advantage(by_trajectory),
        "advantages": padded(np.repeat(total_R, mask_BL.sum(1)), mask_BL),
    }


@kind("similarity")
def similarity(given: Inputs) -> Found:
    return {"step_group": similar_states(given["anchor"], codes(given["group"]), given["similarity_thresh"])}


@kind(
    "hgpo",
    prose=["epsilon", "response_lengths", "response_max_len"],
    normalised=["adv_scalar", "adv_scalar_keep_zero_variant"],
)
def hgpo(given: Inputs) -> Found:
    """The case has returns, discounted and penalised: they stand in for rewards that are not discounted.

    Within a trajectory the episode's return differs by the penalties of single rows.
    """
    score_R, trajectory_R = np.array(given["episode_reward_token_sum"], np.float64), codes(given["traj"])
    best_T = np.full(trajectory_R.max() + 1, -np.inf)
    np.maximum.at(best_T, trajectory_R, score_R)
    missing_R = best_T[trajectory_R] - score_R
    penalty = float(missing_R.max())
    assert np.all((missing_R == 0) | np.isclose(missing_R, penalty)), "penalties of different sizes"
    credit = Credit.of(
        given["group"],
        given["traj"],
        np.array(given["step_reward"]) + missing_R,
        score=best_T[trajectory_R],
        state_R=states(given["group"], given["anchor"]),
        valid_R=missing_R == 0,
    )
    part = Hierarchy(
        history=given["history_length"],
        alpha=given["length_weight_alpha"],
        base=given["base_group"],
        gamma=0.0,
        std=given["mode"] == "mean_std_norm",
        invalid_action_penalty=penalty,
    ).as_published()
    keeping = part.model_copy(update={"drop_zeros": False})
    return {
        "adv_scalar": credit.back(part(credit.turns)),
        "adv_scalar_keep_zero_variant": credit.back(keeping(credit.turns)),
    }
