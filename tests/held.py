"""What this process holds, by identity: what is older may go away meanwhile, but nothing may be added."""

from __future__ import annotations

import gc
import threading
from pathlib import Path


def held() -> set[str]:
    """The threads, the open files with what they lead to, and the children of this process."""
    gc.collect()
    threads = {f"thread {thread.native_id} {thread.name}" for thread in threading.enumerate()}
    return threads | open_files() | {f"child {pid}" for pid in children()}


def open_files() -> set[str]:
    """The open files, such as `file 3 socket:[1234]`."""
    found: set[str] = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"file {entry.name} {entry.readlink()}")
        except FileNotFoundError:  # that of the list itself
            continue
    return found


def children() -> set[int]:
    """The processes that this one has started and that are still there."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found |= {int(pid) for pid in (task / "children").read_text().split()}
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended
            continue
    return found
