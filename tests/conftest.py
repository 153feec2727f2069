"""What holds for every test."""

import os

import torch
from hypothesis import settings

# One thread here and in the processes that tests start: sums of floats depend on the number of threads, and runs
# in both are compared byte for byte.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

# A busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
