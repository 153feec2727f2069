"""Baselines over groups of trajectories, and what else is made of returns."""

from __future__ import annotations

from typing import Any

import numpy as np

from agentgym.rollout.branching import branch_probability
from agentgym.training.advantages.base import Advantage
from agentgym.training.advantages.batch import BatchNormalised
from agentgym.training.advantages.beta import BetaNormalised
from agentgym.training.advantages.group import GroupMean
from agentgym.training.advantages.offset import ShiftedMean, SoftBaseline
from agentgym.training.advantages.stepwise import StepwiseGroupMean
from agentgym.training.advantages.tracker import Tracker
from agentgym.training.rewards.overlong import Overlong
from tests.golden.cases import Inputs
from tests.golden.compare import Found, kind
from tests.golden.tables import Credit, single_turns


@kind("baselines")
def baselines(given: Inputs) -> Found:
    """Trinity-RFT's baselines for one group."""
    turns = single_turns(given["reward"], ["g"] * len(given["reward"]))
    parts: dict[str, Advantage] = {
        "rec": GroupMean(singleton="raw"),
        "rec_std_normalized_population": GroupMean(std=True, population=True, singleton="raw"),
        "opmd_mean": GroupMean(singleton="raw"),
        "opmd_logavgexp_tau1": SoftBaseline(tau=1.0, singleton="raw"),
        "opmd_logavgexp_tau0p5": SoftBaseline(tau=0.5, singleton="raw"),
        "asymre_shift_m0p1": ShiftedMean(shift=-0.1, singleton="raw"),
    }
    return {name: part(turns) for name, part in parts.items()}


@kind("grae_batchnorm", prose=["loss_mask"])
def grae(given: Inputs) -> Found:
    turns = single_turns(given["reward"], given["group"])
    return {"adv_scalar": BatchNormalised(std=given["special_norm"]).as_published()(turns)}


@kind("bnpo")
def bnpo(given: Inputs) -> Found:
    return {"adv_scalar": BetaNormalised().as_published()(single_turns(given["reward"], given["group"]))}


@kind("stepwise_grpo")
def stepwise(given: Inputs) -> Found:
    """Statistics are over the last step of each run; its reward is the run's."""
    rows = [dict(zip(given["columns"], row, strict=True)) for row in given["rows"]]
    rows.sort(key=lambda row: row["step"])
    last = {(row["task"], row["run"]): row["reward"] for row in rows}
    runs = [(row["task"], row["run"]) for row in rows]
    credit = Credit.of(
        [row["task"] for row in rows],
        ["/".join(run) for run in runs],
        np.zeros(len(rows)),
        score=[last[run] for run in runs],
    )
    settings: dict[str, Any] = {"spread": given.get("std_cal_level", "group")}
    threshold = given.get("std_threshold")
    settings["least_deviation"] = -1.0 if threshold is None else threshold
    settings["per_turn"] = given.get("enable_step_norm", False)
    values = credit.back(StepwiseGroupMean.model_validate(settings).as_published()(credit.turns))
    names = [f"{row['task']}/{row['run']}/{row['step']}" for row in rows]
    return {"adv": dict(zip(names, values, strict=True))}


@kind("overlong")
def overlong(given: Inputs) -> Found:
    part = Overlong(
        limit=given["max_resp_len"], buffer=given["overlong_buffer_len"], factor=given["penalty_factor"]
    )
    turns = single_turns([0.0], ["g"], tokens_R=[given["valid_response_length"]])
    return {"overlong_reward": float(part(turns).score_T[0])}


@kind("spo_tracker")
def spo_tracker(given: Inputs) -> Found:
    part = Tracker(least=given["rho_clip_lower"])
    assert len(given["offline_rewards"]) == given["offline_N"]
    evidence = part.take_in_offline("task", given["offline_rewards"])
    trace: list[dict[str, float]] = [{}]
    for reward, drift in given["updates_r_D"]:
        trace[-1] |= state(part, *evidence)
        trace.append({"raw_adv": reward - evidence.rate, "rho": part.forgetting(drift)})
        evidence = part.take_in("task", [reward], drift)
    trace[-1] |= state(part, *evidence)
    return {"trace": trace}


def state(part: Tracker, alpha: float, beta: float) -> dict[str, float]:
    """What the tracker knows of the task."""
    rate = part.evidence("task").rate
    return {"alpha": alpha, "beta": beta, "p_hat": rate, "sampling_weight": part.priority("task")}


@kind("arpo_branch_prob")
def arpo_branch_prob(given: Inputs) -> Found:
    base, weight = given["branch_probability"], given["entropy_weight"]
    changes = given["delta_entropy"]
    return {"p_branch": [branch_probability(change, base=base, weight=weight) for change in changes]}
