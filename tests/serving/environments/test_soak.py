"""Many sessions, half of which go wrong, leave nothing behind; `benchmarks/env_server.py` has many more."""

from __future__ import annotations

import pytest

from benchmarks.env_server import FAULTS, serving, soak


@pytest.mark.parametrize(("stepping", "episodes"), [("inline", 60), ("process", 40)])
def test_nothing_is_left_of_many_sessions_with_faults(stepping: str, episodes: int) -> None:
    with serving(stepping) as server:
        soak(server, 12, seed=1)  # what the first use loads for good is no leak
        before = server.settled()
        done = soak(server, episodes)
        after = server.settled()
    assert not set(done) - {kind.__name__ for kind in FAULTS}
    assert done["played"] >= episodes // 3
    assert (after.sessions, after.processes) == (0, before.processes)
    assert after.sockets <= before.sockets
    assert after.threads <= before.threads + 2  # a pool of the event loop's grows to its size
