"""Variations of an adaptation: another prompt, by a rewriter, or another memory policy, by chance."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol, get_args

from agentgym.core.asking import Questions
from agentgym.core.memory import ItemKind
from agentgym.core.policy import Policy, Sampling
from agentgym.core.trace import Episode
from agentgym.evolution.adaptation.genome import MOST_CHARACTERS, Adaptation
from agentgym.evolution.adaptation.guiding import FAILED, WORKED
from agentgym.memory.recall import Retriever
from agentgym.memory.transcripts import Transcript

ITEMS = (0, 1, 2, 4, 8)
BUDGETS = (250, 500, 1000, 2000, 4000)
_SHOWN_CHARACTERS = 3000
"""Of a lifetime, to who rewrites the prompt."""


class Lifetime(NamedTuple):
    """What came of the attempts at one task."""

    attempts: Sequence[Episode]
    fitness: float


class Rewriter(Protocol):
    """Writes prompts anew."""

    async def rewrite(self, prompt: str, lived: Sequence[Lifetime], rng: random.Random) -> str | None:
        """Return another prompt, given some train lifetimes under `prompt`; None: nothing better comes to mind."""
        ...


class ScriptedRewriter:
    """Chooses among the prompts that `ScriptedGuides` understands, and none."""

    async def rewrite(self, prompt: str, lived: Sequence[Lifetime], rng: random.Random) -> str | None:
        """Return one of the others by chance."""
        return rng.choice([each for each in ("", WORKED, FAILED) if each != prompt])


_REQUEST = (
    "An agent tries a task several times. After each attempt this prompt is given to a writer, with the attempt, and what the "
    "writer answers is the agent's guide to the next attempt:\n\n<prompt>\n{prompt}\n</prompt>\n\n"
    "Below is what came of it for some tasks. Write a prompt that makes better guides. It will be used for many other tasks: "
    "name no object, place or number of these, and put no facts of them into it. Answer with the new prompt inside <prompt> "
    "and </prompt>."
)


class PolicyRewriter:
    """Asks a language model to reflect on what came of the prompt, as GEPA and Meta-TTL do.

    What it is shown of the tasks is cut short, and a prompt that names a thing of them (a word with a number that was in
    what was seen) is refused: the prompt published with Meta-TTL had learned its training tasks by heart.
    """

    def __init__(self, policy: Policy, *, max_tokens: int = 800) -> None:
        self._questions = Questions(policy, "rewriter", Sampling(temperature=1.0, max_tokens=max_tokens))

    async def rewrite(self, prompt: str, lived: Sequence[Lifetime], rng: random.Random) -> str | None:
        """Return the model's prompt; None where there is none in its answer, or one that names things of the tasks."""
        told = [_told(lifetime) for lifetime in lived]
        text = "\n\n".join([_REQUEST.format(prompt=prompt or "(none: there is no guide)"), *told])
        answer = await self._questions.ask(text, rng.getrandbits(63))
        found = re.findall(r"<prompt>\s*(.*?)\s*</prompt>", answer, re.DOTALL)
        new = str(found[-1]) if found else ""
        named = names_in(new) & {name for each in told for name in names_in(each)}
        return new if new and new != prompt and len(new) <= MOST_CHARACTERS and not named else None


def names_in(text: str) -> set[str]:
    """Return the things that a text names: a word with a number, or an id.

    >>> sorted(names_in("Put mug 2 on the shelf; order W-1009 is done."))
    ['W-1009', 'mug 2']
    """
    return set(re.findall(r"\b[a-z]+ \d+\b|\b[A-Za-z]+-?\d+\b", text))


def vary_memory(parent: Adaptation, rng: random.Random) -> Adaptation:
    """Return an adaptation with one of the four settings of its memory changed; where none of the memory is shown, some of
    it is, of whichever kinds."""
    kinds = [tuple(ItemKind), *((kind,) for kind in ItemKind)]
    choices: dict[str, Sequence[object]] = {
        "k": ITEMS,
        "token_budget": BUDGETS,
        "kinds": kinds,
        "retriever": get_args(Retriever),
    }
    if not parent.k:
        return parent.model_copy(update={"k": rng.choice(ITEMS[1:]), "kinds": rng.choice(kinds)})
    name = rng.choice(list(choices))
    old = getattr(parent, name)
    return parent.model_copy(update={name: rng.choice([each for each in choices[name] if each != old])})


def _told(lifetime: Lifetime) -> str:
    parts = [
        f"Attempt {number} ({'solved' if episode.success else 'not solved'}):\n{Transcript.of(episode)}"
        for number, episode in enumerate(lifetime.attempts, 1)
    ]
    share = max(_SHOWN_CHARACTERS // max(len(parts), 1), 200)
    return "\n".join([f"Fitness {lifetime.fitness:.2f}.", *(part[-share:] for part in parts)])
