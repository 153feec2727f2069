"""From episodes to principles: what a distiller is, and one that asks a policy."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from agentgym.core.asking import Questions
from agentgym.core.policy import Policy, Sampling
from agentgym.memory.transcripts import Transcript

_log = logging.getLogger(__name__)


class Advice(StrEnum):
    """What kind of rule a principle is."""

    GUIDING = "guiding"
    """Do this."""
    CAUTIONARY = "cautionary"
    """Beware of this."""


class Draft(NamedTuple):
    """A principle as it was distilled."""

    advice: Advice
    text: str


class Distiller(Protocol):
    """Finds principles in episodes of one task."""

    @property
    def name(self) -> str:
        """Who is recorded as the author."""
        ...

    async def distil(self, transcripts: Sequence[Transcript]) -> Sequence[Draft]:
        """Return what can be learned from `transcripts`, all of one task; may be nothing."""
        ...


class Judge(Protocol):
    """Says whether two principles say the same."""

    async def same(self, one: str, other: str) -> bool:
        """Return whether whoever knows one of them learns nothing from the other."""
        ...


_SUCCESS = (
    "Below is an episode in which an agent solved its task. What rule did it follow that would help with other tasks "
    "of the kind?"
)
_FAILURE = (
    "Below is an episode in which an agent did not solve its task. What should an agent beware of in other tasks of the "
    "kind?"
)
_CONTRAST = (
    "Below are two episodes of one task: in the first an agent solved it, in the second it did not. What made the "
    "difference, as a rule for other tasks of the kind?"
)
_FORM = (
    "Name no object, place or number that only this task has. Answer with JSON alone: "
    '{"advice": "guiding" or "cautionary", "rule": "one sentence"}, or {} where there is nothing to learn.'
)
_SAME = "Do these two rules say the same, so that whoever knows one learns nothing from the other? Answer yes or no."


class PolicyDistiller:
    """Asks a policy for one principle of each group of episodes, and whether two are the same.

    Successes, failures, and groups that have both are asked about differently: what made the difference says most.
    """

    def __init__(self, policy: Policy, *, name: str = "policy", max_tokens: int = 200) -> None:
        self._name = name
        self._questions = Questions(
            policy, f"distil-{name}", Sampling(temperature=0.0, max_tokens=max_tokens)
        )

    @property
    def name(self) -> str:
        """As it was given."""
        return self._name

    async def distil(self, transcripts: Sequence[Transcript]) -> Sequence[Draft]:
        """Return one principle, or none where the answer holds none."""
        good = [transcript for transcript in transcripts if transcript.success]
        bad = [transcript for transcript in transcripts if not transcript.success]
        if not transcripts:
            return []
        request = _CONTRAST if good and bad else _SUCCESS if good else _FAILURE
        shown = [*good[:1], *bad[:1]]
        answer = await self._questions.ask(
            "\n\n".join([request, _FORM, *(f"Episode:\n{each}" for each in shown)])
        )
        draft = read_draft(answer)
        if draft is None:
            _log.info("No principle in the answer %.200r.", answer)
        return [draft] if draft is not None else []

    async def same(self, one: str, other: str) -> bool:
        """Return whether the policy says yes."""
        answer = await self._questions.ask(f"{_SAME}\n\n1. {one}\n2. {other}")
        return answer.strip().lower().startswith("yes")


def read_draft(answer: str) -> Draft | None:
    """Return the principle in a model's answer; None where it holds none in the form asked for.

    >>> read_draft('Sure: {"advice": "guiding", "rule": "Open it first."}')
    Draft(advice=<Advice.GUIDING: 'guiding'>, text='Open it first.')
    """
    found = re.search(r"\{.*\}", answer, re.DOTALL)
    try:
        data: Any = json.loads(found[0]) if found else {}
        advice, rule = Advice(data["advice"]), data["rule"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return Draft(advice, rule.strip()) if isinstance(rule, str) and rule.strip() else None
