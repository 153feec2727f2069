"""From the answered calls of a rollout to the turns of its episode.

All calls of a rollout are turns of one episode, in the order in which they arrived, whatever conversation they
belong to: the rollout is what earned the reward, and counts once in its group. A turn's `prompt_start` is how
much of the turn before it its context shares, so that branches are branches of the packed row too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agentgym.core.env import Action
from agentgym.core.policy import Completion, FinishReason
from agentgym.core.trace import Outcome, Turn, agreement
from agentgym.serving.conversations import Node


def turns_of(nodes: Sequence[Node], rewards: Mapping[Node, float], outcome: Outcome) -> tuple[Turn, ...]:
    """Return the turns of a rollout's answered calls; `rewards` has what each earned, where that is not 0.

    A turn's observation is the text of what is new in its conversation: at first all of it, then the results
    of tools and what else was said. Its state key is the hash of the conversation. Its answer counts as valid
    where the policy ended it.
    """
    turns: list[Turn] = []
    before: NDArray[np.int32] = np.empty(0, np.int32)
    ordered = sorted(nodes, key=lambda node: node.number)
    for place, node in enumerate(ordered):
        completion = node.completion
        shared = agreement(before, node.context_ids)
        last = place == len(ordered) - 1
        turns.append(
            Turn(
                observation="\n".join(message.content for message in node.news),
                action=_action(completion),
                reward=rewards.get(node, 0.0),
                terminated=last and outcome in (Outcome.SUCCESS, Outcome.FAILURE),
                truncated=last and outcome is Outcome.TRUNCATED,
                valid=completion.finish_reason is FinishReason.STOP,
                state_key=node.state,
                policy_version=completion.version,
                prompt_start=shared,
                prompt_ids=node.context_ids[shared:].copy(),  # a view would keep the whole context
                completion_ids=completion.completion_ids,
                logprobs=completion.logprobs,
                loss_mask=np.ones(len(completion.completion_ids), np.int8),
                messages_delta=(*node.news, completion.as_message()),
                timing={"policy": node.seconds},
                policy_versions=completion.versions,
                usage=completion.usage,
            )
        )
        before = np.concatenate([node.context_ids, completion.completion_ids])
    return tuple(turns)


def _action(completion: Completion) -> Action:
    """Return the tool call that the answer makes, or what it says where it makes none or several."""
    calls = completion.tool_calls
    return calls[0] if len(calls) == 1 else completion.text
