from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from agentgym.core.errors import CheckpointError
from agentgym.training.checkpoint import (
    checkpoints,
    latest_checkpoint,
    load_optimiser,
    save_checkpoint,
    verify,
)


def optimiser_of(model: nn.Module) -> torch.optim.AdamW:
    return torch.optim.AdamW(model.parameters(), lr=0.1)


def step(model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    model(torch.ones(1, 3)).square().sum().backward()
    optimiser.step()


def weights_file(path: Path) -> None:
    (path / "model.safetensors").write_bytes(b"weights")


def save(root: Path, iteration: int, keep: int = 2) -> Path:
    model = nn.Linear(3, 2)
    optimiser = optimiser_of(model)
    step(model, optimiser)
    return save_checkpoint(root, iteration, weights_file, optimiser, keep)


def test_only_the_last_few_are_kept(tmp_path: Path) -> None:
    for iteration in range(4):
        save(tmp_path, iteration)
    assert [path.name for path in checkpoints(tmp_path)] == ["000002", "000003"]
    assert latest_checkpoint(tmp_path) == (tmp_path / "000003", 3)


def test_the_optimiser_goes_on_as_if_never_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, twin = nn.Linear(3, 2), nn.Linear(3, 2)
    optimiser, other = optimiser_of(model), optimiser_of(twin)
    for _ in range(3):
        step(model, optimiser)
    path = save_checkpoint(tmp_path, 3, weights_file, optimiser, keep=1)
    twin.load_state_dict(model.state_dict())
    load_optimiser(path, other)
    for _ in range(3):
        step(model, optimiser)
        step(twin, other)
    assert torch.equal(model.weight, twin.weight)


def test_an_optimiser_that_has_not_stepped_is_saved_too(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    path = save_checkpoint(tmp_path, 0, weights_file, optimiser_of(model), keep=1)
    load_optimiser(path, optimiser_of(model))
    assert verify(path) == 0


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest"])
def test_a_damaged_checkpoint_is_refused_with_the_last_good_one(tmp_path: Path, damage: str) -> None:
    good, bad = save(tmp_path, 1), save(tmp_path, 2)
    file = bad / ("manifest.json" if damage == "manifest" else "optimiser.safetensors")
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CheckpointError) as caught:
        latest_checkpoint(tmp_path)
    assert str(bad) in str(caught.value)
    assert f"The last good one is {good}" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_write_that_was_cut_off_leaves_no_checkpoint(tmp_path: Path) -> None:
    def killed(path: Path) -> None:
        weights_file(path)
        raise KeyboardInterrupt

    save(tmp_path, 1)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, 2, killed, optimiser_of(nn.Linear(3, 2)), keep=2)
    assert [path.name for path in checkpoints(tmp_path)] == ["000001"]
    assert save(tmp_path, 2).name == "000002"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG], ids=os.strerror)
def test_safetensors_full_disk_is_told_as_the_systems(number: int, tmp_path: Path) -> None:
    def full(path: Path) -> None:
        raise SafetensorError(f"Error while serializing: I/O error: whatever (os error {number})")

    save(tmp_path, 1)
    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as caught:
        save_checkpoint(tmp_path, 2, full, optimiser_of(nn.Linear(3, 2)), keep=2)
    assert caught.value.errno == number
    assert [path.name for path in tmp_path.iterdir()] == ["000001"], (
        "the partial one may be what fills the disk"
    )


def test_other_failures_of_safetensors_stay_what_they_are(tmp_path: Path) -> None:
    def broken(path: Path) -> None:
        raise SafetensorError("invalid header (os error 5)")

    with pytest.raises(SafetensorError, match="invalid header"):
        save_checkpoint(tmp_path, 1, broken, optimiser_of(nn.Linear(3, 2)), keep=2)


def test_no_checkpoint_and_another_shape(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="before its first one"):
        latest_checkpoint(tmp_path)
    path = save(tmp_path, 1)
    with pytest.raises(CheckpointError, match="another recipe"):
        load_optimiser(path, optimiser_of(nn.Linear(3, 2, bias=False)))
