"""Sandboxes: how long boxes take to start, to run a program and to go, and how many programs they run at once.

    python -m benchmarks.sandbox            about two minutes
    python -m benchmarks.sandbox --repeats 5 --backends process

What is compared takes turns in one process: both backends, and beside them a bare `docker run --rm` of the same image
and a bare `bwrap`, each running `true`. Times are medians of wall-clock time; they mean something on a quiet machine
alone, ratios more than seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

from agentgym.core.sandbox import SandboxSpec
from agentgym.sandboxes.backends import backend_class
from agentgym.sandboxes.daemon import connect
from agentgym.sandboxes.imaging import sandbox_image
from agentgym.sandboxes.pool import WarmPool

AT_ONCE = 16
ECHO = ["python3", "-c", "import json, sys; json.dump(json.load(sys.stdin), sys.stdout)"]
BWRAP = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
Times = dict[str, list[float]]


async def box_times(backend: str, times: Times) -> None:
    """Time the life of one box."""

    async def timed(name: str, doing: Callable[[], Awaitable[object]]) -> None:
        started = perf_counter()
        await doing()
        times.setdefault(f"{backend}: {name}", []).append(perf_counter() - started)

    box = backend_class(backend)(SandboxSpec())
    await timed("start", box.open)
    await timed("run `true`", lambda: box.run(["true"]))
    await timed("run Python, JSON in and out", lambda: box.run(ECHO, stdin=b'{"x": 1}'))
    await timed("upload 100 kB", lambda: box.upload({"file": bytes(100_000)}))
    shell = await box.shell()
    await shell.run("true")
    await timed("a command of a shell", lambda: shell.run("true"))
    await shell.close()
    await timed("stop", box.close)


def bare_times(command: Sequence[str], name: str, times: Times) -> None:
    """Time a command that has nothing of ours."""
    started = perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    times.setdefault(name, []).append(perf_counter() - started)


async def throughput(backend: str, programs: int) -> float:
    """Return programs a second with `AT_ONCE` boxes that each run one after the other."""

    async def use(count: int) -> None:
        async with backend_class(backend)(SandboxSpec()) as box:
            ready.release()
            await go.wait()
            for _ in range(count):
                await box.run(["true"])

    ready, go = asyncio.Semaphore(0), asyncio.Event()
    users = [asyncio.create_task(use(programs // AT_ONCE)) for _ in range(AT_ONCE)]
    for _ in users:
        await ready.acquire()
    started = perf_counter()
    go.set()
    await asyncio.gather(*users)
    return programs // AT_ONCE * AT_ONCE / (perf_counter() - started)


async def warm(backend: str, repeats: int) -> float:
    """Return the median seconds until a box of a warm pool has run a program."""
    took: list[float] = []
    async with WarmPool(SandboxSpec(), 2, backend=backend) as pool:
        for _ in range(repeats):
            started = perf_counter()
            async with pool.sandbox() as box:
                await box.run(["true"])
                took.append(perf_counter() - started)
            await asyncio.sleep(1)  # for the next one to be made
    return statistics.median(took)


async def bare_throughput(command: Sequence[str], programs: int) -> float:
    """Return how many a second of a command are done with `AT_ONCE` at a time."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with turn:
            process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
            await process.wait()

    started = perf_counter()
    await asyncio.gather(*(one() for _ in range(programs)))
    return programs / (perf_counter() - started)


async def measure(backends: Sequence[str], repeats: int, programs: int) -> None:
    """Print the table."""
    times: Times = {}
    bare = {"bare `bwrap`": BWRAP}
    if "docker" in backends:
        flags = ["--rm", "--network", "none", "--entrypoint", "true"]
        bare["bare `docker run --rm`"] = ["docker", "run", *flags, sandbox_image(connect())]
    for _ in range(repeats):
        for backend in backends:
            await box_times(backend, times)
        for name, command in bare.items():
            bare_times(command, name, times)
    print(f"| one at a time, median of {repeats} | ms |\n|---|---|")
    for name, took in times.items():
        print(f"| {name} | {statistics.median(took) * 1e3:.1f} |")
    for backend in backends:
        print(
            f"| {backend}: first program in a box of a warm pool | {await warm(backend, repeats) * 1e3:.1f} |"
        )
    print(f"\n| {AT_ONCE} at once | programs a second |\n|---|---|")
    for backend in backends:
        print(f"| {backend}: boxes that stay | {await throughput(backend, programs):.1f} |")
    for name, command in bare.items():
        print(f"| {name} | {await bare_throughput(command, programs):.1f} |")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backends", nargs="+", default=["process", "docker"])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--programs", type=int, default=160, help="for the throughput")
    given = parser.parse_args()
    asyncio.run(measure(given.backends, given.repeats, given.programs))


if __name__ == "__main__":
    main()
