from collections.abc import Generator
from pathlib import Path

import pytest

from agentgym.memory.store.store import MemoryStore


@pytest.fixture
def store(tmp_path: Path) -> Generator[MemoryStore]:
    with MemoryStore(tmp_path / "memory.db") as opened:
        yield opened
