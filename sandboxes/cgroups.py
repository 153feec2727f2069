"""Limits for a group of processes together, by control groups of version 1 or 2, where this process may make them."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from agentgym.core.sandbox import SandboxSpec

_FOLDER = "agentgym"
_CONTROLLERS = ("memory", "pids", "cpu")
_OWN_PROCESSES = 8
"""Of a box, besides what runs in it: those that hold namespaces and wait."""
_PERIOD_US = 100_000
_PATIENCE_S = 10.0
"""Processes that were killed leave their group within this time."""


@dataclass(frozen=True)
class Hierarchy:
    """Where groups are made: one folder for each controller (version 1), or one for all (version 2)."""

    folders: Mapping[str, Path]
    version: int

    @classmethod
    def mounted(cls, mounts: str) -> Hierarchy | None:
        """Find the hierarchy in the text of `/proc/mounts`; None where memory or pids have none."""
        first: dict[str, Path] = {}
        second: Path | None = None
        for line in mounts.splitlines():
            _, folder, kind, options, *_ = line.split()
            if kind == "cgroup":
                for name in {*_CONTROLLERS, "cpuacct"} & set(options.split(",")):
                    first[name] = Path(folder)
            elif kind == "cgroup2":
                second = second or Path(folder)
        if {"memory", "pids"} <= set(first):
            return cls(first, 1)
        if second is not None:
            with suppress(OSError):
                offered = (second / "cgroup.controllers").read_text().split()
                if {"memory", "pids"} <= set(offered):
                    return cls({name: second for name in _CONTROLLERS if name in offered}, 2)
        return None

    def below(self, path: str) -> dict[str, Path]:
        """Return the folders of the group at a path."""
        return {controller: folder / path for controller, folder in self.folders.items()}


class Reading(NamedTuple):
    """What a group has used since it was made."""

    oom_kills: int = 0
    """Processes that were killed because memory had run out."""
    cpu_s: float | None = None
    peak_memory_bytes: int | None = None


class Cgroup:
    """The control group of one box."""

    def __init__(self, folders: Mapping[str, Path], version: int) -> None:
        self._folders = dict(folders)
        self._version = version
        self._pids = 0
        self._ended = set[int]()

    @classmethod
    def make(cls, spec: SandboxSpec) -> Self | None:
        """Make a group with a spec's limits; None where this process may not, or the kernel has none."""
        try:
            hierarchy = Hierarchy.mounted(Path("/proc/mounts").read_text("utf-8"))
            if hierarchy is None:
                return None
            _prepare(hierarchy)
            group = cls(hierarchy.below(f"{_FOLDER}/{os.getpid()}-{secrets.token_hex(8)}"), hierarchy.version)
            try:
                group.limit(spec)
            except OSError:
                group.remove()
                raise
        except OSError:
            return None
        return group

    @classmethod
    def found(cls, pid: int, name: str) -> Self | None:
        """Find the group of another process, whose path must hold `name`; None where it cannot be seen."""
        try:
            hierarchy = Hierarchy.mounted(Path("/proc/mounts").read_text("utf-8"))
            lines = Path(f"/proc/{pid}/cgroup").read_text("utf-8").splitlines()
            paths = {kinds: path for _, kinds, path in (line.split(":", 2) for line in lines)}
            if hierarchy is None:
                return None
            path = paths["memory" if hierarchy.version == 1 else ""].lstrip("/")
            group = cls(hierarchy.below(path), hierarchy.version)
            group.read()
        except (OSError, KeyError):
            return None
        return group if name in path else None

    @property
    def doors(self) -> list[str]:
        """The files that a process writes its id to in order to join."""
        return [str(folder / "cgroup.procs") for folder in dict.fromkeys(self._folders.values())]

    def processes(self) -> int:
        """Return how many processes and threads there are in it."""
        return int((self._folders["pids"] / "pids.current").read_text())

    def has_ended(self, pid: int) -> None:
        """Note a process of the group that has ended; it counts until its parent, perhaps a slow init, has noticed."""
        self._ended.add(pid)

    def make_room(self) -> None:
        """Let as many more processes in as have ended and count all the same."""
        if self._ended:
            self._ended = {pid for pid in self._ended if _is_zombie(pid)}
            self._write("pids", "pids.max", self._pids + len(self._ended))

    def read(self) -> Reading:
        """Return what the group has used."""
        memory = self._folders["memory"]
        if self._version == 1:
            kills = _field(memory / "memory.oom_control", "oom_kill")
            cpu = self._folders.get("cpuacct")
            cpu_s = int((cpu / "cpuacct.usage").read_text()) / 1e9 if cpu else None
            peak = memory / "memory.max_usage_in_bytes"
        else:
            kills = _field(memory / "memory.events", "oom_kill")
            cpu_s = _field(memory / "cpu.stat", "usage_usec") / 1e6
            peak = memory / "memory.peak"
        return Reading(kills, cpu_s, int(peak.read_text()) if peak.exists() else None)

    def remove(self) -> None:
        """Remove the group; its processes have been killed."""
        deadline = time.monotonic() + _PATIENCE_S
        for folder in dict.fromkeys(self._folders.values()):
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > deadline:
                        return
                    time.sleep(0.001)

    def limit(self, spec: SandboxSpec) -> None:
        """Make its folders and write the limits."""
        for folder in dict.fromkeys(self._folders.values()):
            folder.mkdir()
        quota = max(1000, int(spec.cpus * _PERIOD_US))
        self._pids = spec.pids + _OWN_PROCESSES
        self._write("pids", "pids.max", self._pids)
        if self._version == 1:
            self._write("memory", "memory.limit_in_bytes", spec.memory_bytes)
            if (self._folders["memory"] / "memory.memsw.limit_in_bytes").exists():
                self._write("memory", "memory.memsw.limit_in_bytes", spec.memory_bytes)
            self._write("cpu", "cpu.cfs_period_us", _PERIOD_US)
            self._write("cpu", "cpu.cfs_quota_us", quota)
        else:
            self._write("memory", "memory.max", spec.memory_bytes)
            if (self._folders["memory"] / "memory.swap.max").exists():
                self._write("memory", "memory.swap.max", 0)
            self._write("cpu", "cpu.max", f"{quota} {_PERIOD_US}")

    def _write(self, controller: str, name: str, value: object) -> None:
        if controller in self._folders:
            (self._folders[controller] / name).write_text(str(value))


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def _prepare(hierarchy: Hierarchy) -> None:
    """Make the folder of all boxes, and remove the groups of processes that are gone."""
    for folder in dict.fromkeys(hierarchy.folders.values()):
        if hierarchy.version == 2:
            _delegate(folder, hierarchy)
        home = folder / _FOLDER
        home.mkdir(exist_ok=True)
        if hierarchy.version == 2:
            _delegate(home, hierarchy)
        for group in home.iterdir():
            owner = group.name.partition("-")[0]
            if group.is_dir() and owner.isdigit() and not Path("/proc", owner).exists():
                with suppress(OSError):  # its processes are still being killed
                    group.rmdir()


def _delegate(folder: Path, hierarchy: Hierarchy) -> None:
    """Hand the controllers on to the groups below."""
    has = (folder / "cgroup.subtree_control").read_text().split()
    missing = [f"+{name}" for name in hierarchy.folders if name not in has]
    if missing:
        (folder / "cgroup.subtree_control").write_text(" ".join(missing))


def _field(file: Path, name: str) -> int:
    """Return a number from a file of lines with a name and a number each."""
    fields = dict(line.split(maxsplit=1) for line in file.read_text().splitlines())
    return int(fields.get(name, 0))
