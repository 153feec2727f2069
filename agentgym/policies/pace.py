"""When a request may be sent: how often in a minute, and how long after a failure."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0


def back_off_s(
    attempt: int, seed: int, *, first_s: float = FIRST_WAIT_S, longest_s: float = LONGEST_WAIT_S
) -> float:
    """Return the seconds to wait after failed attempt number `attempt` (from 0).

    The wait doubles up to `longest_s`; a half of it is jitter, which depends on `seed` and `attempt` only, so
    that requests which failed together do not come back together.

    >>> [round(back_off_s(attempt, 7), 2) for attempt in range(4)]
    [0.43, 0.99, 1.25, 3.55]
    """
    jitter = random.Random(f"{seed}:{attempt}").random()
    return min(longest_s, first_s * 2.0 ** min(attempt, 30)) * (1 + jitter) / 2


class Pace:
    """Lets at most `per_minute` requests start in any 60 seconds, in the order of asking; None for no limit.

    `clock` and `sleep` are there for tests that do not wait.
    """

    def __init__(
        self,
        per_minute: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._starts: deque[float] = deque(maxlen=per_minute or 0)
        self._held_until = 0.0
        self._clock = clock
        self._sleep = sleep

    def hold(self, seconds: float) -> None:
        """Let nobody start for so long: the server has said that it is too much."""
        self._held_until = max(self._held_until, self._clock() + seconds)

    async def turn(self) -> None:
        """Wait until one more request may start."""
        start = self._clock()
        if self._starts.maxlen:
            if len(self._starts) == self._starts.maxlen:
                start = max(start, self._starts[0] + 60.0)
            self._starts.append(start)
        while (wait := max(start, self._held_until) - self._clock()) > 0:
            await self._sleep(wait)
