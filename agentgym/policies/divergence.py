"""How far a conversation has carried a policy away from its goal ("Drift No More", arXiv 2510.07777).

The policy is compared with itself under a context that is nothing but the goal and the present: the opening of the
conversation, which tells the goal, and what was said last; all that was said and done between is left out. The drift of an
answer is the mean over its tokens of KL(p(· | whole context) ‖ p(· | goal-only context)), in nats. The paper compares with
another model that stays with the goal; here the reference is the policy's own, so that one model is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from agentgym.core.message import Message
from agentgym.policies.rendering import ChatRenderer


class DriftGauge:
    """Measures the drift of answers with a model in this process, whose weights may change meanwhile."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, temperature: float = 1.0
    ) -> None:
        self._model = model
        self._renderer = ChatRenderer(tokenizer)
        self._temperature = temperature or 1.0  # greedy play has the distribution of temperature 1

    def drift(self, messages: Sequence[Message], answer_ids: Sequence[int]) -> float:
        """Return the drift of an answer to `messages`, in nats per token; 0 for the first, or for no tokens.

        Raises `ConfigError` where the tokenizer's template refuses the goal-only conversation.
        """
        goal = goal_only(messages)
        if not len(answer_ids) or goal == list(messages):
            return 0.0
        whole_NV, goal_NV = (self._log_probabilities(each, answer_ids) for each in (messages, goal))
        return float((whole_NV.exp() * (whole_NV - goal_NV)).sum(-1).mean())

    @torch.no_grad()
    def _log_probabilities(self, messages: Sequence[Message], answer_ids: Sequence[int]) -> Tensor:
        """Return the log-distributions from which the N tokens of an answer were sampled, float32, shape (N, V)."""
        context = self._renderer.context(messages, (), None).prompt_ids
        ids_L = torch.tensor([*context, *answer_ids], dtype=torch.long, device=self._model.device)
        output: Any = self._model(ids_L[None], logits_to_keep=len(answer_ids) + 1, use_cache=False)
        logits_NV: Tensor = output.logits[0, :-1].float()
        return (logits_NV / self._temperature).log_softmax(-1)


def goal_only(messages: Sequence[Message]) -> list[Message]:
    """Return the opening of a conversation with what was said last, as one message.

    >>> said = [("user", "Find a cup. A room."), ("assistant", "open box 1"), ("user", "It is empty.")]
    >>> goal_only([Message(role, text) for role, text in said])[0].content
    'Find a cup. A room.\\n\\nIt is empty.'
    """
    answers = [place for place, message in enumerate(messages) if message.role == "assistant"]
    if not answers:
        return list(messages)
    *before, goal = messages[: answers[0]]
    latest = [message.content for message in messages[answers[-1] + 1 :]]
    return [*before, replace(goal, content="\n\n".join([goal.content, *latest]))]
