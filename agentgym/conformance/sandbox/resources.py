"""Attacks on what runs out: the box may use what its spec says, and no more."""

from __future__ import annotations

from agentgym.conformance.sandbox.attack import Attack, Verdict, program, run
from agentgym.conformance.sandbox.host import Host
from agentgym.core.sandbox import Sandbox

_FORKS = """
def attack():
    children = []
    try:
        for _ in range(given["pids"] * 3):
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
    return f"{len(children)} processes"
"""
_BOMB = """
def attack():
    for _ in range(12):
        try:
            os.fork()
        except OSError:
            pass
    time.sleep(60)
"""
_LONGEST_S = 1.0


async def _bomb(box: Sandbox, host: Host) -> Verdict:
    """Fork in all that was forked, and deny the box and the host every process."""
    await run(box, host, _BOMB, timeout_s=_LONGEST_S)
    alive = await box.run(["sh", "-c", "echo on"])
    if alive.text == "on\n":
        return Verdict(False, f"stopped at {host.known['pids']} processes; the box works afterwards")
    return Verdict(True, f"the box is of no use afterwards: {alive.stderr[-200:]!r}")


async def _flood(box: Sandbox, host: Host) -> Verdict:
    """Write to standard output without end."""
    most = box.spec.output_bytes
    result = await box.run(["sh", "-c", f"head -c {16 * most} /dev/zero; head -c {16 * most} /dev/zero >&2"])
    kept = len(result.stdout) + len(result.stderr)
    return Verdict(kept > 2 * most, f"{kept:,} bytes were kept; killed: {result.killed_by}")


def _limit(aim: str, name: str) -> Attack:
    return program(
        aim,
        f"""
def attack():
    import resource
    soft, hard = resource.getrlimit(resource.{name})
    if hard == resource.RLIM_INFINITY:
        return "it has none"
    resource.setrlimit(resource.{name}, (hard + 1, hard + 1))
    return "raised"
""",
    )


ATTACKS: dict[str, Attack] = {
    "resources.processes": program("have three times as many processes as are allowed", _FORKS),
    "resources.threads": program(
        "have three times as many threads as are allowed",
        """
def attack():
    import threading
    over = threading.Event()
    started = 0
    try:
        for _ in range(given["pids"] * 3):
            threading.Thread(target=over.wait, daemon=True).start()
            started += 1
    finally:
        over.set()
    return f"{started} threads"
""",
    ),
    "resources.memory": program(
        "hold three times as much memory as is allowed",
        """
def attack():
    held = [b"x" * (1 << 20) for _ in range(3 * given["memory_bytes"] >> 20)]
    return f"{len(held)} MiB"
""",
    ),
    "resources.memory_of_many": program(
        "hold three times as much memory in several processes",
        """
def attack():
    children = []
    for _ in range(6):
        ready, other = os.pipe()
        child = os.fork()
        if child == 0:
            held = b"x" * (given["memory_bytes"] // 2)
            os.write(other, b"1")
            time.sleep(60)
        os.close(other)
        os.read(ready, 1)
        children.append(child)
    ended = [child for child in children if os.waitpid(child, os.WNOHANG)[0]]
    for child in set(children) - set(ended):
        os.kill(child, signal.SIGKILL)
    if not ended:
        return "all of it"
    raise MemoryError(f"{len(ended)} of 6 processes were killed")
""",
    ),
    "resources.disk": program(
        "fill the disk with several times as much as is allowed",
        """
def attack():
    total, made, told = 0, [], set()
    try:
        for folder in (".", "/tmp", "/dev/shm", "/var/tmp", "/run", "/dev", "/home"):
            try:
                for number in range(6):
                    path = os.path.join(folder, f"fill-{os.getpid()}-{number}")
                    with open(path, "wb", buffering=0) as file:
                        made.append(path)
                        for _ in range(given["disk_bytes"] >> 20):
                            total += file.write(b"x" * (1 << 20))
                    if total > 5 * given["disk_bytes"]:
                        return f"{total >> 20} MiB"
            except OSError as error:
                told.add(error.strerror)
    finally:
        for path in made:
            os.unlink(path)
    raise OSError(f"{total >> 20} MiB, then " + "; ".join(sorted(told)))
""",
    ),
    "resources.files": program(
        "make so many files that the host has room for no other",
        """
def attack():
    made, told = [], set()
    try:
        for folder in (".", "/tmp", "/dev/shm"):
            try:
                for number in range(2000):
                    path = os.path.join(folder, f"many-{os.getpid()}-{number}")
                    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
                    made.append(path)
            except OSError as error:
                told.add(error.strerror)
    finally:
        for path in made:
            os.unlink(path)
    if len(made) > 4000:
        return f"{len(made)} files"
    raise OSError(f"{len(made)} files, then " + "; ".join(sorted(told)))
""",
    ),
    "resources.descriptors": program(
        "hold more open files than are allowed",
        """
def attack():
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = []
    try:
        for _ in range(3000):
            held.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for descriptor in held:
            os.close(descriptor)
    return f"{len(held)} open files"
""",
    ),
    "resources.core_dump": program(
        "leave a core dump",
        """
def attack():
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    child = os.fork()
    if child == 0:
        os.abort()
    status = os.waitpid(child, 0)[1]
    left = glob.glob("core*")
    for path in left:
        os.unlink(path)
    if os.WCOREDUMP(status):
        return f"dumped {left}"
    raise PermissionError("no core was dumped")
""",
    ),
    "resources.cpu_limit": _limit("lift the limit of computing time", "RLIMIT_CPU"),
    "resources.file_limit": _limit("lift the limit of a file's size", "RLIMIT_FSIZE"),
    "resources.output": _flood,
    "resources.fork_bomb": _bomb,
}
"""By id."""
