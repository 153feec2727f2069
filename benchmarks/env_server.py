"""What a socket between an agent and its environment costs, and what thousands of broken sessions leave behind.

    python -m benchmarks.env_server latency            steps per second through a socket, beside the same in process
    python -m benchmarks.env_server soak 2000 process  episodes with random faults; what the server holds meanwhile

The server is a process of its own, which steps the household world as the last word says: inline, thread or process.
"""

from __future__ import annotations

import asyncio
import json
import random
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import agentgym
from agentgym.core.env import AgentEnv, Stepping
from agentgym.core.errors import InfrastructureError
from agentgym.core.task import Split, TaskSuite
from agentgym.registry import find_spec

TOKEN = "benchmark"
IDLE_S = 2.0
SEND_S = 1.0
CLIENTS = 24
KILLED = """
import socket, sys, time
one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
one.sendall(sys.stdin.buffer.read())
one.recv(65536)
print(flush=True)
time.sleep(60)
"""
"""A client that is killed when it has begun an episode."""


class Household:
    """The household world, stepped as one likes."""

    id, name, summary = "agentgym/Household-v0", "household", "stepped as one likes"

    def make(self, split: Split, **options: Any) -> AgentEnv:
        """Build an environment; `stepping` says how it is stepped."""
        stepping = Stepping(options.pop("stepping", "inline"))
        env = find_spec("household").make(split, **options)
        env.stepping = stepping
        return env

    def suite(self, **options: Any) -> TaskSuite:
        """Return its suite."""
        return find_spec("household").suite(**options)


def serve(stepping: str, idle_s: float) -> None:
    """Serve until killed; prints the URL, and the number of sessions for each line that comes."""
    from agentgym.serving.environments.app import Limits
    from agentgym.serving.environments.server import EnvServer

    async def run() -> None:
        limits = Limits(idle_s=idle_s, send_s=SEND_S, message_bytes=100_000)
        options = {"stepping": stepping}
        async with EnvServer(
            Household(), options=options, token=TOKEN, limits=limits, on_problem=_ignore
        ) as server:
            print(server.url, flush=True)
            while await asyncio.to_thread(sys.stdin.readline):
                print(server.sessions, flush=True)

    asyncio.run(run())


def _ignore(problem: str) -> None:
    pass


class Held(NamedTuple):
    """What a server's process holds, its children's memory included."""

    sessions: int
    processes: int
    threads: int
    sockets: int
    mebibytes: float


class Server:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.url = url.replace("//", f"//:{TOKEN}@")
        self.port = int(url.rpartition(":")[2])

    def sessions(self) -> int:
        """How many are under way."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def held(self) -> Held:
        """Count what it holds."""
        pids = [self._process.pid, *_descendants(self._process.pid)]
        files = list(Path(f"/proc/{self._process.pid}/fd").iterdir())
        sockets = sum(_target(file).startswith("socket:") for file in files)
        tasks = len(list(Path(f"/proc/{self._process.pid}/task").iterdir()))
        memory = sum(_memory(pid) for pid in pids)
        return Held(self.sessions(), len(pids), tasks, sockets, memory)

    def settled(self, patience_s: float = 30.0) -> Held:
        """Wait until no session is left, if that comes, and count."""
        deadline = time.monotonic() + patience_s
        while self.sessions() and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.held()


@contextmanager
def serving(stepping: str, idle_s: float = IDLE_S) -> Generator[Server]:
    """Run a server until the block ends."""
    command = [sys.executable, "-m", "benchmarks.env_server", "serve", stepping, str(idle_s)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    )
    assert process.stdout is not None
    try:
        yield Server(process, process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


# --- clients that do wrong ------------------------------------------------------------------------


def played(server: Server, rng: random.Random) -> None:
    """Play an episode to its end as one should."""
    env = agentgym.make(server.url)
    env.reset(seed=rng.randrange(10_000))
    while (action := env.oracle()) is not None:
        env.step(action)
    env.close()


def vanished(server: Server, rng: random.Random) -> None:
    """Close the connection in mid-episode, as the system does for a program that ends."""
    one = _begun(server)
    one.close()


def reset_by_peer(server: Server, rng: random.Random) -> None:
    """Break the connection in the middle of a step."""
    one = _begun(server)
    one.sendall(_frame({"type": "step", "data": {"text": "look"}}))
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def killed(server: Server, rng: random.Random) -> None:
    """A client process is killed in mid-episode."""
    command = [sys.executable, "-I", "-S", "-c", KILLED, str(server.port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(_handshake() + _frame({"type": "reset", "data": {}}))
    process.stdin.close()
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    process.wait()


def half_open(server: Server, rng: random.Random) -> None:
    """Say half of what one has to say and then nothing, until the server has had enough."""
    one = _begun(server)
    one.sendall(_frame({"type": "step", "data": {"text": "look"}})[:5])
    _wait_for_end(one)


def half_a_handshake(server: Server, rng: random.Random) -> None:
    """Leave in the middle of the handshake."""
    with socket.create_connection(("127.0.0.1", server.port)) as one:
        one.sendall(_handshake()[: rng.randrange(20, 80)])


def not_reading(server: Server, rng: random.Random) -> None:
    """Ask and ask, and never read."""
    one = _begun(server)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    question = _frame({"type": "get_task_range", "data": {"stop": 500}})
    one.settimeout(1.0)
    with suppress(OSError):
        for _ in range(200):
            one.sendall(question)
    torn_down = select.poll()
    torn_down.register(one, 0)  # errors and hang-ups are told unasked
    if not torn_down.poll(60_000):
        raise OSError("a client that does not read is kept")
    one.close()


def nonsense(server: Server, rng: random.Random) -> None:
    """Send what is no message, and one that is too large."""
    one = _begun(server)
    for text in ("{", "[1]", '{"type": "nothing"}', '{"type": "reset", "data": {"seed": -1}}', "x" * 200_000):
        with suppress(OSError):
            one.sendall(_frame(text))
    _wait_for_end(one)


FAULTS: dict[Callable[[Server, random.Random], None], float] = {
    played: 0.5,
    vanished: 0.1,
    reset_by_peer: 0.1,
    killed: 0.05,
    half_open: 0.05,
    half_a_handshake: 0.1,
    not_reading: 0.03,
    nonsense: 0.07,
}
"""What a client does, and how often."""


def soak(server: Server, episodes: int, seed: int = 0) -> Counter[str]:
    """Run clients that do right and wrong, several at once, and count what they did; failures to play included."""
    rng = random.Random(seed)
    kinds = rng.choices([*FAULTS], [*FAULTS.values()], k=episodes)
    plans = [(kind, random.Random(rng.getrandbits(32))) for kind in kinds]
    done = Counter[str]()
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not plans:
                    return
                kind, own = plans.pop()
            name = kind.__name__
            try:
                kind(server, own)
            except (InfrastructureError, OSError) as error:
                name = f"{name} failed: {error}"
            with lock:
                done[name] += 1

    workers = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return done


def _begun(server: Server) -> socket.socket:
    """Return a bare connection on which an episode has begun."""
    one = socket.create_connection(("127.0.0.1", server.port), timeout=30.0)
    one.sendall(_handshake())
    if not one.recv(4096).startswith(b"HTTP/1.1 101"):
        raise OSError("no handshake")
    one.sendall(_frame({"type": "reset", "data": {}}))
    one.recv(1 << 16)
    return one


def _handshake() -> bytes:
    lines = ["GET /ws HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"x-api-key: {TOKEN}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _frame(message: Any) -> bytes:
    """Return a text frame, masked with zeros."""
    data = (message if isinstance(message, str) else json.dumps(message)).encode()
    if len(data) < 126:
        length = struct.pack(">B", 0x80 | len(data))
    elif len(data) < 1 << 16:
        length = struct.pack(">BH", 0x80 | 126, len(data))
    else:
        length = struct.pack(">BQ", 0x80 | 127, len(data))
    return b"\x81" + length + bytes(4) + data


def _wait_for_end(one: socket.socket) -> None:
    """Read on, much later, until the server has closed the connection."""
    time.sleep(IDLE_S + SEND_S)
    one.settimeout(30.0)
    with suppress(ConnectionError):
        while one.recv(1 << 20):
            pass
    one.close()


# --- figures ----------------------------------------------------------------------------------------


def run_soak(episodes: int, stepping: str) -> None:
    """Print what the server holds after each eighth of the episodes."""
    done = Counter[str]()
    with serving(stepping) as server:
        soak(server, 80, seed=99)  # what the first use loads for good is no leak
        print(f"{stepping}\nepisodes {'  '.join(f'{name:>9}' for name in Held._fields)}")
        _show(0, server.settled())
        for part in range(8):
            done += soak(server, episodes // 8, seed=part)
            _show(sum(done.values()), server.settled())
    print(dict(sorted(done.items())))


def _show(episodes: int, held: Held) -> None:
    figures = [f"{value:>9.1f}" if isinstance(value, float) else f"{value:>9}" for value in held]
    print(f"{episodes:>8} {'  '.join(figures)}", flush=True)


def run_latency(rounds: int = 40, steps: int = 100) -> None:
    """Print microseconds for a step in process and through sockets, taken in turns."""
    kinds = ("inline", "thread", "process")
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(serving(kind, idle_s=600.0)) for kind in kinds}
        places = {"local": "household", **{kind: server.url for kind, server in servers.items()}}
        for admissible in (True, False):
            envs = {
                name: agentgym.make(url, admissible=admissible, max_steps=10**9)
                for name, url in places.items()
            }
            for env in envs.values():
                env.reset(seed=0)
            taken: dict[str, list[float]] = {name: [] for name in envs}
            for _ in range(rounds):
                for name, env in envs.items():
                    started = time.perf_counter()
                    for _ in range(steps):
                        env.step("look")
                        env.state_key()
                    taken[name].append((time.perf_counter() - started) / steps)
            for name, seconds in taken.items():
                median, best = statistics.median(seconds) * 1e6, min(seconds) * 1e6
                print(
                    f"admissible={admissible} {name:8} {median:7.0f} us a step in the median, {best:7.0f} at best, "
                    f"{1e6 / median:7.0f} steps/s"
                )
            for env in envs.values():
                env.close()


def _descendants(pid: int) -> list[int]:
    with suppress(OSError):
        found: list[int] = []
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                found += [child, *_descendants(child)]
        return found
    return []


def _memory(pid: int) -> float:
    """Proportional memory of a process in MiB, 0 for one that is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _target(file: Path) -> str:
    with suppress(OSError):
        return str(file.readlink())
    return ""


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", stepping, idle_s]:
            serve(stepping, float(idle_s))
        case ["latency"]:
            run_latency()
        case ["soak", count, stepping]:
            run_soak(int(count), stepping)
        case _:
            sys.exit(__doc__)
