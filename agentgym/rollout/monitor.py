"""What goes on in a rollout: who waits for whom, since when, how fast it goes, and what took longest.

A monitor belongs to whoever wants to look: `collect` writes to it, and anybody may read `figures` at any time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal, NamedTuple, TypeAlias

from agentgym.core.policy import NO_TOKENS, TokenCount
from agentgym.core.trace import Episode, Outcome
from agentgym.rollout.hosts import EnvHost

Boundary: TypeAlias = Literal["environment", "policy", "store"]
"""Whom an episode can wait for."""
SLOWEST = 3
"""Slowest calls of environments that are kept."""


class Place:
    """Where an episode is: `boundary` is whom it waits for, None for nobody."""

    __slots__ = ("blocking", "boundary", "call", "episode_id", "since", "turns", "usage")

    def __init__(self, episode_id: str) -> None:
        self.episode_id = episode_id
        self.boundary: Boundary | None = None
        self.call = ""
        self.blocking = False
        """Whether the event loop waits as well."""
        self.since = 0.0
        self.turns = 0
        self.usage = NO_TOKENS
        """Tokens of its decisions so far, whatever came of them."""


class SlowCall(NamedTuple):
    """One of the calls that took longest."""

    seconds: float
    episode_id: str
    call: str


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt at an episode that a fault of the infrastructure ended, and that was played again."""

    episode_id: str
    attempt: int
    """From 0."""
    outcome: Outcome
    error: str
    turns: int
    """Turns it had come to."""
    usage: TokenCount = NO_TOKENS
    """Tokens that it had come to: they were paid for all the same."""

    def as_json(self) -> dict[str, str | int]:
        """Return the failure as JSON data."""
        return {
            "episode": self.episode_id,
            "attempt": self.attempt,
            "outcome": self.outcome.value,
            "turns": self.turns,
            "prompt_tokens": self.usage.prompt,
            "completion_tokens": self.usage.completion,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Figures:
    """How a rollout stands; counts and seconds since it began."""

    planned: int
    episodes: int
    """Finished ones."""
    in_flight: int
    turns: int
    tokens: int
    """Sampled ones."""
    retried: int
    lost: int
    """Environments that hung or died."""
    seconds: float
    share: Mapping[str, float]
    """Of the time that episodes waited, how much for whom: environment, policy, store; sums to 1."""
    slowest: tuple[SlowCall, ...]
    """The longest calls of environments, longest first."""

    @property
    def line(self) -> str:
        """The figures in one line."""
        seconds = max(self.seconds, 1e-9)
        parts = [
            f"{self.episodes / seconds:.3g} episodes/s",
            f"{self.turns / seconds:.3g} turns/s",
            f"{self.tokens / seconds:.4g} tokens/s",
            f"{self.in_flight} in flight",
        ]
        if self.retried:
            parts.append(f"{self.retried} played again")
        if self.lost:
            parts.append(f"{self.lost} environments lost")
        if self.share:
            parts.append(" ".join(f"{name} {share:.0%}" for name, share in sorted(self.share.items())))
        if self.slowest and self.slowest[0].seconds >= 0.001:
            slowest = self.slowest[0]
            parts.append(f"slowest {slowest.call} {slowest.seconds:.3g} s ({slowest.episode_id})")
        return ", ".join(parts)


def added(*counts: TokenCount) -> TokenCount:
    """Return the sum of counts of tokens."""
    return TokenCount(sum(count.prompt for count in counts), sum(count.completion for count in counts))


class Monitor:
    """Watches rollouts. Whoever makes one says what it wants to hear of, and where stacks are written to.

    `on_figures` is told about once a second how it stands; `say` is told what an operator should know, in one
    line, from any thread; the stacks of a stall go to a file in `dump_folder`, if there is one.
    """

    def __init__(
        self,
        *,
        on_figures: Callable[[Figures], None] | None = None,
        say: Callable[[str], None] | None = None,
        dump_folder: Path | None = None,
    ) -> None:
        self.on_figures = on_figures
        self.tell: Callable[[str], None] = say or (lambda _: None)
        self.dump_folder = dump_folder
        self.failures: list[Failure] = []
        self.places: dict[str, Place] = {}
        """Where each episode in flight is, by its id."""
        self.latest: Place | None = None
        """The place of the newest move."""
        self.moved = perf_counter()
        """When something last went on, by `perf_counter`."""
        self.hosts: list[EnvHost] = []
        self.planned = 0
        self.usage = NO_TOKENS
        """Tokens of all decisions, those of attempts that failed and of episodes under way included."""
        self._ended: dict[str, TokenCount] = {}
        """Tokens of attempts of which is not yet said whether they are played again."""
        self._began = perf_counter()
        self._episodes = self._turns = self._tokens = 0
        self._seconds: dict[Boundary, float] = {"environment": 0.0, "policy": 0.0, "store": 0.0}
        self._slowest: list[SlowCall] = []

    def begin(self, episode_id: str) -> Place:
        """An episode begins."""
        place = self.places[episode_id] = Place(episode_id)
        return place

    def enter(self, place: Place, boundary: Boundary, call: str, *, blocking: bool = False) -> float:
        """An episode begins to wait for somebody; returns the time, by `perf_counter`."""
        now = perf_counter()
        place.boundary, place.call, place.blocking, place.since = boundary, call, blocking, now
        self.latest, self.moved = place, now
        return now

    def leave(self, place: Place) -> float:
        """The wait is over; returns the seconds it took."""
        now = perf_counter()
        took = now - place.since
        boundary, place.boundary = place.boundary, None
        self.moved = now
        if boundary is not None:
            self._seconds[boundary] += took
        if boundary == "environment" and (len(self._slowest) < SLOWEST or took > self._slowest[0].seconds):
            self._keep(SlowCall(took, place.episode_id, place.call))
        return took

    def decided(self, place: Place, usage: TokenCount) -> None:
        """The agent has decided, which took so many tokens."""
        place.usage = added(place.usage, usage)
        self.usage = added(self.usage, usage)

    def turn(self, place: Place, tokens: int) -> None:
        """A turn is over."""
        place.turns += 1
        self._turns += 1
        self._tokens += tokens

    def end(self, place: Place) -> None:
        """An episode is over, or this attempt at it."""
        self.places.pop(place.episode_id, None)
        self._ended[place.episode_id] = place.usage

    def finished(self, episode_id: str) -> None:
        """An episode is finished and will not be played again."""
        self._ended.pop(episode_id, None)
        self._episodes += 1

    def failed(self, episode: Episode, attempt: int) -> None:
        """An attempt failed, and is played again."""
        self.failures.append(
            Failure(
                episode.id,
                attempt,
                episode.outcome,
                episode.error or "",
                len(episode.turns),
                self._ended.pop(episode.id, episode.usage),
            )
        )

    @property
    def figures(self) -> Figures:
        """How it stands now."""
        waited = sum(self._seconds.values())
        return Figures(
            planned=self.planned,
            episodes=self._episodes,
            in_flight=len(self.places),
            turns=self._turns,
            tokens=self._tokens,
            retried=len(self.failures),
            lost=sum(host.lost for host in self.hosts),
            seconds=perf_counter() - self._began,
            share={name: took / waited for name, took in self._seconds.items()} if waited else {},
            slowest=tuple(sorted(self._slowest, reverse=True)),
        )

    def _keep(self, call: SlowCall) -> None:
        heapq.heappush(self._slowest, call)
        if len(self._slowest) > SLOWEST:
            heapq.heappop(self._slowest)
