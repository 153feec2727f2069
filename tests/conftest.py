"""What holds for every test."""

import os
from collections.abc import Generator

import pytest
import torch
from hypothesis import settings

from tests.dockerd import running

# One thread here and in the processes that tests start: sums of floats depend on the number of threads, and runs
# in both are compared byte for byte.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

# A busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def docker_daemon() -> Generator[None]:
    """A Docker daemon, which is started where none runs."""
    with running():
        yield
