"""Checkpoints: everything an interrupted run needs to go on as if it had never stopped.

A checkpoint is a directory `checkpoints/000012/` named by the number of finished iterations:

    model.safetensors, config.json, tokenizer files   what `load_model` reads: an ordinary model directory
    optimiser.safetensors                             AdamW's moments and step counts
    manifest.json                                     format, iteration, and a SHA-256 of every file

It is written beside its final place, synced and renamed, so it is there whole or not at all. Task order
and sampling seeds are functions of the recipe's seed and the iteration: no generator state to keep.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch
from torch import Tensor
from torch.optim import Optimizer

from agentgym.core.errors import CheckpointError

FORMAT = "agentgym-checkpoint-1"
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where a file cannot grow: the disk is full, a quota is used up, a limit is reached."""


class Checkpoint(NamedTuple):
    """A sound checkpoint."""

    path: Path
    iteration: int
    """Number of finished iterations."""


def save_checkpoint(
    root: Path, iteration: int, save_weights: Callable[[Path], None], optimiser: Optimizer, keep: int
) -> Path:
    """Write the state after `iteration` finished iterations and drop all but the last `keep` checkpoints.

    `save_weights` writes model and tokenizer into the directory it is given.
    """
    root.mkdir(parents=True, exist_ok=True)
    final = root / f"{iteration:06d}"
    partial = root / f".{final.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write(partial, iteration, save_weights, optimiser)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)  # it may be what fills the disk
        told = re.search(r"os error (\d+)", str(error))  # safetensors has no other way to tell
        if isinstance(error, SafetensorError) and told and int(told[1]) in NO_SPACE:
            raise OSError(int(told[1]), os.strerror(int(told[1])), str(partial)) from error
        raise
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    _sync(root)
    for old in checkpoints(root)[:-keep]:
        shutil.rmtree(old)
    return final


def _write(folder: Path, iteration: int, save_weights: Callable[[Path], None], optimiser: Optimizer) -> None:
    """Write a whole checkpoint into a new folder and sync it."""
    folder.mkdir()
    save_weights(folder)
    save_optimiser(folder, optimiser)
    written = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    manifest = {
        "format": FORMAT,
        "iteration": iteration,
        "files": {path.relative_to(folder).as_posix(): _digest(path) for path in written},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
    for path in (*written, folder / "manifest.json", folder):
        _sync(path)


def checkpoints(root: Path) -> list[Path]:
    """Return the checkpoint directories, oldest first, sound or not."""
    return sorted(path for path in root.glob("[0-9]*") if path.is_dir())


def verify(path: Path) -> int:
    """Return the iteration of a sound checkpoint; raises `CheckpointError` saying what is wrong with it."""
    manifest = _manifest(path)
    for name, digest in manifest["files"].items():
        file = path / name
        if not file.is_file():
            raise CheckpointError(f"The checkpoint {path} is incomplete: {name} is missing.{_advice(path)}")
        if _digest(file) != digest:
            raise CheckpointError(f"The checkpoint {path} is corrupt: {name} has changed.{_advice(path)}")
    return int(manifest["iteration"])


def latest_checkpoint(root: Path) -> Checkpoint:
    """Return the newest checkpoint; raises `CheckpointError` when there is none or it is not sound."""
    found = checkpoints(root)
    if not found:
        raise CheckpointError(
            f"No checkpoint in {root}; the run stopped before its first one. Start it anew."
        )
    return Checkpoint(found[-1], verify(found[-1]))


def save_optimiser(folder: Path, optimiser: Optimizer) -> None:
    """Write an optimiser's moments, to be read by `load_optimiser`."""
    safetensors_torch.save_file(_optimiser_tensors(optimiser), folder / "optimiser.safetensors")


def load_optimiser(path: Path, optimiser: Optimizer) -> None:
    """Put a checkpoint's moments into an optimiser over a model of the same shape."""
    tensors = safetensors_torch.load_file(path / "optimiser.safetensors")
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, field = name.partition(".")
        state.setdefault(int(index), {})[field] = tensor
    shapes = {index: parameter.shape for index, parameter in enumerate(_parameters(optimiser))}
    if any(fields["exp_avg"].shape != shapes.get(index) for index, fields in state.items()):
        raise CheckpointError(
            f"The checkpoint {path} has moments of other shapes than the model's {len(shapes)} tensors; "
            "it was made with another recipe."
        )
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    state: dict[int, dict[str, Tensor]] = optimiser.state_dict()["state"]
    return {
        f"{index}.{field}": tensor.detach().cpu().contiguous()
        for index, fields in state.items()
        for field, tensor in fields.items()
    }


def _parameters(optimiser: Optimizer) -> list[torch.nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"The checkpoint {path} has no readable manifest: {error}.{_advice(path)}"
        ) from None
    if manifest.get("format") != FORMAT:
        raise CheckpointError(
            f"The checkpoint {path} has format {manifest.get('format')!r}; expected {FORMAT!r}."
        )
    return manifest


def _advice(path: Path) -> str:
    """Name the newest sound checkpoint beside a bad one."""
    for other in reversed(checkpoints(path.parent)):
        if other != path and _is_sound(other):
            return f" The last good one is {other}: remove {path} to resume from it."
    return " There is no other sound one; start the run anew."


def _is_sound(path: Path) -> bool:
    try:
        files = json.loads((path / "manifest.json").read_text("utf-8"))["files"]
        return all(_digest(path / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError):
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
