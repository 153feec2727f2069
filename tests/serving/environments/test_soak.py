"""Many sessions, half of which go wrong, leave nothing behind; `benchmarks/env_server.py` has many more."""

from __future__ import annotations

import pytest

from benchmarks.env_server import FAULTS, Held, serving, soak
from tests.waiting import eventually


@pytest.mark.parametrize(("stepping", "episodes"), [("inline", 60), ("process", 40)])
def test_nothing_is_left_of_many_sessions_with_faults(stepping: str, episodes: int) -> None:
    with serving(stepping) as server:
        soak(server, 12, seed=1)  # what the first use loads for good is no leak
        before = server.settled()
        done = soak(server, episodes)
        assert eventually(lambda: no_more_than(before, server.held()))
    assert not set(done) - {kind.__name__ for kind in FAULTS}
    assert done["played"] >= episodes // 3


def no_more_than(before: Held, after: Held) -> bool:
    return (
        after.sessions == 0
        and after.processes <= before.processes
        and after.sockets <= before.sockets
        and after.threads <= before.threads + 2  # a pool of the event loop's grows to its size
    )
