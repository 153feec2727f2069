"""Rates and waits, by a clock of the tests' own."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from agentgym.policies.pace import Pace, back_off_s


class Clock:
    """Time passes only in sleep; the sleepers wake in the order of their times."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        self._sleepers.append((self.now + seconds, len(self._sleepers), event))
        await event.wait()

    async def run(self) -> None:
        for _ in range(1000):
            await asyncio.sleep(0)
            if self._sleepers:
                self._sleepers.sort(key=lambda sleeper: sleeper[:2])
                self.now, _, event = self._sleepers.pop(0)
                event.set()


def starts(pace: Pace, clock: Clock, count: int, hold: float = 0.0) -> list[float]:
    """When each of `count` requests that ask at once may start, in seconds from now."""
    began: list[float] = []

    async def one() -> None:
        await pace.turn()
        began.append(clock() - 1000.0)

    async def together() -> None:
        running = asyncio.ensure_future(clock.run())
        tasks = [asyncio.ensure_future(one()) for _ in range(count)]
        if hold:
            await asyncio.sleep(0)
            pace.hold(hold)
        await asyncio.gather(*tasks)
        running.cancel()

    asyncio.run(together())
    return began


def test_no_minute_has_more_starts_than_allowed() -> None:
    clock = Clock()
    assert starts(Pace(3, clock=clock, sleep=clock.sleep), clock, 8) == [0, 0, 0, 60, 60, 60, 120, 120]


def test_without_a_limit_nobody_waits() -> None:
    clock = Clock()
    assert starts(Pace(None, clock=clock, sleep=clock.sleep), clock, 50) == [0.0] * 50


def test_a_hold_stops_those_who_wait_too() -> None:
    clock = Clock()
    pace = Pace(1, clock=clock, sleep=clock.sleep)
    assert starts(pace, clock, 3, hold=70.0) == [0, 70, 120]


@given(st.integers(0, 2**64), st.integers(0, 2000))
def test_waits_grow_to_a_bound_and_depend_on_seed_and_attempt_alone(seed: int, attempt: int) -> None:
    wait = back_off_s(attempt, seed, first_s=1.0, longest_s=30.0)
    whole = min(30.0, 2.0 ** min(attempt, 30))
    assert whole / 2 <= wait <= whole
    assert wait == back_off_s(attempt, seed, first_s=1.0, longest_s=30.0)


def test_requests_that_failed_together_come_back_apart() -> None:
    assert len({back_off_s(0, seed) for seed in range(100)}) == 100
