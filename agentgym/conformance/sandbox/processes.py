"""Attacks on other processes, and ways to outlive one's own end."""

from __future__ import annotations

import asyncio

from agentgym.conformance.sandbox.attack import Attack, Verdict, program, run, verdict
from agentgym.conformance.sandbox.host import Host
from agentgym.core.sandbox import Sandbox

_OTHERS = """
def others():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) != os.getpid():
            yield pid
def read(pid, name):
    try:
        return open(f"/proc/{pid}/{name}", "rb").read()
    except OSError:
        return b""
"""
_LEFT_BEHIND = """
def attack():
    done, begun = os.pipe()  # which exec closes
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            quiet = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(quiet, descriptor)
            loop = "import sys, time; time.sleep(3600)"
            os.execv(sys.executable, [sys.executable, "-c", loop, given["marker"]])
        os._exit(0)
    os.close(begun)
    os.read(done, 1)
    return "left behind"
"""
_DEAF = """
def attack():
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    for _ in range(2):
        os.fork()
    os.execv(sys.executable, [sys.executable, "-c", "while True: pass", given["marker"]])
"""
_LONGEST_S = 3.0
_DEATH_S = 4.0


async def _marked(host: Host) -> list[int]:
    """Return the attack's processes that are there still after a while."""
    deadline = asyncio.get_running_loop().time() + _DEATH_S
    while (left := host.marked()) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)
    return left


async def _daemon(box: Sandbox, host: Host) -> Verdict:
    """Leave a process behind that outlives the program."""
    said = verdict(await run(box, host, _LEFT_BEHIND))
    left = await _marked(host)
    return Verdict(bool(left), f"{said.evidence}; {len(left)} of its processes are alive")


async def _deaf(box: Sandbox, host: Host) -> Verdict:
    """Compute for ever, in several processes, deaf to all signals."""
    result = await run(box, host, _DEAF, timeout_s=_LONGEST_S)
    left = await _marked(host)
    return Verdict(bool(left), f"killed: {result.killed_by}; {len(left)} of its processes are alive")


ATTACKS: dict[str, Attack] = {
    "processes.see": program(
        "read the command lines and environments of the host's processes",
        _OTHERS
        + """
def attack():
    found = given["marker"][::-1].encode()
    for pid in others():
        for name in ("cmdline", "environ"):
            if found in read(pid, name):
                return f"process {pid}"
    raise LookupError("only its own processes are there")
""",
    ),
    "processes.environment": program(
        "read the secrets of the environment that the box was made in",
        _OTHERS
        + """
def attack():
    if "AGENTGYM_BAIT" in os.environ:
        return "inherited"
    if any(b"AGENTGYM_BAIT" in read(pid, "environ") for pid in others()):
        return "another process's"
    raise LookupError("only " + ", ".join(sorted(os.environ)))
""",
    ),
    "processes.kill": program(
        "kill a process of the host's",
        """
def attack():
    os.kill(given["victim"], signal.SIGKILL)
    return "killed"
""",
    ),
    "processes.trace": program(
        "trace a process of the host's",
        _OTHERS
        + """
def attack():
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    told = set()
    for pid in [str(given["victim"]), *others()]:
        try:
            must(libc.ptrace(16, int(pid), None, None))
        except OSError as error:
            told.add(error.strerror)
            continue
        os.waitpid(int(pid), 0x40000000)
        mine = given["marker"][::-1].encode() not in read(pid, "cmdline")
        libc.ptrace(17, int(pid), None, None)
        if not mine:
            return f"process {pid}"
        told.add("only processes of the box")
    raise PermissionError("; ".join(sorted(told)))
""",
    ),
    "processes.memory": program(
        "read the memory of a process of the host's",
        _OTHERS
        + """
def attack():
    for pid in [str(given["victim"]), *others()]:
        for line in read(pid, "maps").decode().splitlines():
            if "[stack]" in line:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                with open(f"/proc/{pid}/mem", "rb") as memory:
                    memory.seek(start)
                    if given["marker"][::-1].encode() in memory.read(end - start):
                        return f"process {pid}"
    raise PermissionError("no memory with the secret is seen")
""",
    ),
    "processes.shared_memory": program(
        "attach the host's shared memory",
        """
def attack():
    libc.shmat.restype = ctypes.c_void_p
    segment = must(libc.shmget(given["segment"], 64, 0))
    return ctypes.string_at(libc.shmat(segment, None, 0o10000), 40)
""",
    ),
    "processes.daemon": _daemon,
    "processes.deaf_loop": _deaf,
}
"""By id."""
