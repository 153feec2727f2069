"""SeeUPO: orders, chains of ratios, and whole toy runs with real optimiser steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from agentgym.training.advantages.batch import BatchNormalised
from agentgym.training.losses.aggregations import TurnMean
from agentgym.training.losses.clips import PpoClip
from agentgym.training.losses.objective import Objective
from agentgym.training.losses.ratios import TurnRatio
from agentgym.training.packing import pack
from agentgym.training.schedules.sequential import Sequential
from agentgym.training.scoring import score_tokens
from agentgym.training.step import Batch, Limits, optimiser_step
from agentgym.training.tally import Tally
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import Indices, TurnTable, Values
from tests.golden.cases import Inputs
from tests.golden.compare import Found, kind
from tests.golden.toy import ToyPolicy, toy_episode

ORDERS = {"reverse": "reverse", "random": "random"}
"""Their names; every other one, and none, means the natural order to the released code."""


@kind("order")
def order(given: Inputs) -> Found:
    mode = given["mode"]
    return {
        "order": Sequential.model_validate({"order": ORDERS.get(mode, "natural")}).positions(given["T"], 0)
    }


@kind("update_ratios_chain")
def update_ratios_chain(given: Inputs) -> Found:
    schedule = Sequential(low=given["adv_clip_ratio_low"], high=given["adv_clip_ratio_high"], chain="mean")
    chains: list[np.ndarray[Any, Any]] = []
    for step in given["steps"]:
        old, new, mask = (np.array(step[key]) for key in ("old_logprob", "new_logprob", "response_mask"))
        tokens = mask.sum(1)
        before = chains[-1] if chains else np.ones(len(tokens))
        change = ((new - old) * mask).sum(1) / np.maximum(tokens, 1)
        chains.append(schedule.extend(before, change, tokens))
    return {"ratio_after_each_step": chains}


@kind("ratio_chain_worked")
def ratio_chain_worked(given: Inputs) -> Found:
    schedule = Sequential().as_published()
    base, chain = np.array(given["base_adv"]), np.ones(len(given["base_adv"]))
    trace: list[dict[str, Any]] = []
    for ratio in given["raw_seq_ratios"]:
        used = base * chain
        chain = schedule.extend(chain, np.log(ratio), np.ones(len(base), np.int64))
        trace.append({"raw_seq_ratio": ratio, "adv_used": used, "ratio_after": chain})
    return {"trace": [*trace, {"adv_used": base * chain}]}


class ToyRun:
    """A toy policy, what it did, and its log-probability of that."""

    def __init__(self, given: Inputs) -> None:
        self.model = ToyPolicy(given["theta0"], given["w0"], len(given["actions"][0][0]))
        triples = zip(given["actions"], given["group"], given["reward"], strict=True)
        episodes = [
            toy_episode(number, answers, group, reward)
            for number, (answers, group, reward) in enumerate(triples)
        ]
        self.turns, self.tokens = TurnTable.from_episodes(episodes), TokenTable.from_episodes(episodes)
        self.rows = pack(episodes)
        # A placeholder is a turn like others, whose tokens are masked out of the advantage.
        placeholder_R = self.turns.turn_R >= np.array(given["n_turns"])[self.turns.trajectory_R]
        self.advantage_R = np.where(placeholder_R, 0.0, BatchNormalised().as_published()(self.turns))
        self.before_N = self.logp_N

    @property
    def logp_N(self) -> Values:
        """The policy's log-probability of each token now."""
        count = len(self.tokens)
        scores = score_tokens(self.model, self.rows, count, temperature=1.0, tokens_per_microbatch=1000)
        return scores.logp_N.astype(np.float64)

    def of_rows(self, values_N: Values, rows: Indices) -> Values:
        """Return the values of some turns' tokens, all of one length, shape (rows, length)."""
        return np.stack([values_N[self.tokens.turn_N == row] for row in rows])

    def change(self, rows: Indices) -> Values:
        """Return the mean log-ratio of turns to the policy before the last step."""
        return self.of_rows(self.logp_N - self.before_N, rows).mean(1)


@kind("toy_end_to_end", prose=["policy"])
def toy_end_to_end(given: Inputs) -> Found:
    """Real optimiser steps of the schedule on a policy of a few weights."""
    run, mode = ToyRun(given), given["update_order"]
    drawn = tuple(entry["turn"] for entry in given.expected["trace"])
    order = drawn if mode == "random" else ORDERS.get(mode, "natural")
    bound = given["adv_clip"]
    schedule = Sequential.model_validate({"order": order, "chain": "mean", "low": bound, "high": bound})
    optimiser = torch.optim.SGD(run.model.parameters(), lr=given["lr"])
    clip = PpoClip(low=given["clip"], high=given["clip"], dual=0)
    objective = Objective(TurnRatio(), clip, aggregation=TurnMean())
    batch = Batch(run.turns, run.tokens, run.rows, run.advantage_R[run.tokens.turn_N])
    positions = np.arange(int(run.turns.turn_R.max()) + 1)
    first = [run.of_rows(run.logp_N, np.flatnonzero(run.turns.turn_R == turn)) for turn in positions]
    trace: list[dict[str, Any]] = []
    for step in schedule.steps(run.turns, 0, run.change):
        tally, run.before_N = Tally(), run.logp_N
        optimiser_step(run.model, optimiser, batch, step, objective, Limits(1e9, 1000), tally)
        assert step.factor_R is not None
        factor, base = step.factor_R[step.rows], run.advantage_R[step.rows]
        trace.append(
            {
                "turn": int(run.turns.turn_R[step.rows[0]]),
                "base_adv": base,
                "adv_used": base * factor,
                "old_logprob": run.of_rows(run.before_N, step.rows),
                "new_logprob": run.of_rows(run.logp_N, step.rows),
                "loss": tally.loss,
                "ratio_after": schedule.extend(factor, run.change(step.rows), run.turns.tokens_R[step.rows]),
                "theta_after": run.model.theta_TV.detach().clone(),
                "w_after": run.model.w_V.detach().clone(),
            }
        )
    return {"rollout_logprob": first, "trace": trace}
