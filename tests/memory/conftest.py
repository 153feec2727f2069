from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from agentgym.memory.store.store import MemoryStore
from tests.postgres import Cluster, private_cluster


@pytest.fixture(scope="session")
def cluster() -> Generator[Cluster]:
    with private_cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a memory can be made: a path, and a URL."""
    if request.param == "sqlite":
        yield str(tmp_path / "memory.db")
    else:
        cluster: Cluster = request.getfixturevalue("cluster")
        with cluster.database() as url:
            yield url


@pytest.fixture
def store(location: str) -> Generator[MemoryStore]:
    """A new memory, in each kind of database."""
    with MemoryStore(location) as opened:
        yield opened
