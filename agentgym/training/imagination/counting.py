"""A model that counts what followed on what, with back-off: for tests, and for those without a language model.

It looks for the moment in ever wider terms until it has met it before: the state, then what is seen now, then what was
seen last of the action's place, then the task, then what the action's own things looked like in any task, then the action
alone. Only what it has met in the task itself can bring a reward or an end: a success in another task is no evidence of
one here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace

from agentgym.core.env import Stepping
from agentgym.core.errors import EnvironmentFault
from agentgym.memory.laws.forms import Form
from agentgym.training.imagination.buffer import ReplayBuffer
from agentgym.training.imagination.model import Consequence, Moment

_OWN = ("state", "place", "scene", "task", "spot")
"""The levels of one task."""
_ANCHORED = ("state", "place")
"""Those at which the state that followed is where the model goes on."""


class CountingModel:
    """Says what followed most often; implements `ExperienceModel`. Of equally frequent ones the first met."""

    stepping = Stepping.INLINE

    def __init__(self, buffer: ReplayBuffer) -> None:
        """Answer from a buffer, and from what is added to it later."""
        self._buffer = buffer
        self._read = 0
        """Transitions of the buffer that are counted."""
        self._seen: dict[tuple[str, Hashable], Counter[Consequence]] = defaultdict(Counter)
        self._refused: Counter[str] = Counter()

    def _catch_up(self) -> None:
        fresh = self._buffer.transitions[self._read :]
        self._read += len(fresh)
        for moment, consequence in ((each.moment, each.consequence) for each in fresh):
            form = Form.of(moment.action)
            general = Consequence(form.lift(consequence.observation), valid=consequence.valid)
            for level, key in (*_levels(moment, form), _spot(moment)):
                self._seen[level, key][consequence if level in _OWN else general] += 1
            if not consequence.valid:
                self._refused[consequence.observation] += 1

    def predict(self, moment: Moment, seed: int) -> Consequence:
        """Return what followed most often; see `ExperienceModel`."""
        return self.foresee(moment).consequence

    def foresee(self, moment: Moment) -> Foreseen:
        """Return what is predicted, and the level that says so. Raises `EnvironmentFault` where nothing is known."""
        self._catch_up()
        form = Form.of(moment.action)
        for level, key in _levels(moment, form):
            if level == "thing" and (again := _done_before(moment)) is not None:
                return Foreseen(Consequence(again), "episode")
            counted = self._seen.get((level, key))
            if counted:
                found = max(counted, key=counted.__getitem__)
                if level not in _OWN:
                    found = replace(found, observation=form.fill(found.observation))
                return Foreseen(found if level in _ANCHORED else replace(found, state=""), level)
        anything = self._seen.get(_spot(moment))
        if anything and not self._refused:  # a world that takes whatever is said
            return Foreseen(replace(max(anything, key=anything.__getitem__), state=""), "spot")
        if not self._refused:
            raise EnvironmentFault(
                f"The model of the environment has met nothing like {moment.action!r:.200}; let it learn from more "
                "episodes."
            )
        return Foreseen(
            Consequence(max(self._refused, key=self._refused.__getitem__), valid=False), "refused"
        )


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A prediction and what it rests on."""

    consequence: Consequence
    level: str
    """`state`, `place`, `scene`, `task`, `episode`, `thing`, `kind`, `action`; for an action never met `refused`, or `spot`: what
    came there of other actions."""


def _levels(moment: Moment, form: Form) -> Iterator[tuple[str, Hashable]]:
    """Yield the moment's keys, the narrowest first."""
    yield "state", (moment.state, moment.action)
    yield "place", (moment.task, moment.observation, moment.action)
    seen = _last_seen(moment, form)
    yield "scene", (moment.task, seen, moment.action)
    yield "task", (moment.task, moment.action)
    yield "thing", (form.text, form.kinds, form.sketch(seen))
    yield "kind", (form.text, form.kinds)
    yield "action", form.text


def _spot(moment: Moment) -> tuple[str, Hashable]:
    return "spot", (moment.task, moment.observation)


def _last_seen(moment: Moment, form: Form) -> str:
    """Return the last observation that names the place of the action (its last thing), or else the present one."""
    for seen in (moment.observation, *(step.observation for step in reversed(moment.history))):
        if form.things and form.things[-1] in seen:
            return seen
    return moment.observation


def _done_before(moment: Moment) -> str | None:
    """Return what the same action brought earlier in the episode, the last time."""
    seen = [*(step.observation for step in moment.history), moment.observation]
    done = [place for place, step in enumerate(moment.history) if step.action == moment.action]
    return seen[done[-1] + 1] if done else None
