"""Attacks on the kernel and on privileges: calls that change the machine for everybody.

Where a call cannot be let succeed it is made with arguments that make no sense: the kernel refuses those who may not
call it before it looks at what they ask for, so that any other error than a refusal means that the way is open.
"""

from __future__ import annotations

from agentgym.conformance.sandbox.attack import Attack, program


def _call(aim: str, call: str, *words: str) -> Attack:
    arguments = ", ".join(words)
    return program(
        aim,
        f"""
def attack():
    told = refused(libc.{call}, {arguments})
    if told:
        raise PermissionError(told)
    return "the call is open"
""",
    )


ATTACKS: dict[str, Attack] = {
    "kernel.mount": program(
        "mount a file system",
        """
def attack():
    os.makedirs("mounted", exist_ok=True)
    must(libc.mount(b"none", os.path.abspath("mounted").encode(), b"tmpfs", 0, None))
    libc.umount2(os.path.abspath("mounted").encode(), 2)
    return "mounted"
""",
    ),
    "kernel.remount": program(
        "make the root writable",
        """
def attack():
    must(libc.mount(b"none", b"/", None, 32 | 4096, None))
    return "remounted"
""",
    ),
    "kernel.new_user_namespace": program(
        "become root of a new user namespace",
        """
def attack():
    must(libc.unshare(0x10000000))
    return open("/proc/self/status").read().split("CapEff:")[1].split()[0]
""",
    ),
    "kernel.join_namespace": program(
        "join the namespaces of the first process",
        """
def attack():
    told = []
    for pid in ["1", *filter(str.isdigit, os.listdir("/proc"))]:
        try:
            descriptor = os.open(f"/proc/{pid}/ns/uts", os.O_RDONLY)
            must(libc.setns(descriptor, 0))
            return "joined " + pid
        except OSError as error:
            told.append(error.strerror)
    raise PermissionError("; ".join(sorted(set(told))))
""",
    ),
    "kernel.module": _call(
        "load a kernel module", "syscall", "{'x86_64': 175}.get(os.uname().machine, 105)", "None", "0", "b''"
    ),
    "kernel.reboot": _call(
        "restart the machine",
        "syscall",
        "{'x86_64': 169}.get(os.uname().machine, 142)",
        "1",
        "2",
        "3",
        "None",
    ),
    "kernel.bpf": _call(
        "load a program into the kernel",
        "syscall",
        "{'x86_64': 321}.get(os.uname().machine, 280)",
        "9999",
        "None",
        "0",
    ),
    "kernel.swap": _call("switch swap on", "swapon", "b'/nonexistent'", "0"),
    "kernel.accounting": _call("switch accounting on", "acct", "b'/nonexistent'"),
    "kernel.messages": _call(
        "read the kernel's messages", "klogctl", "3", "ctypes.create_string_buffer(100)", "100"
    ),
    "kernel.keys": program(
        "leave a key in the kernel's rings, which no namespace divides",
        """
def attack():
    number = {"x86_64": 248}.get(os.uname().machine, 217)
    return must(libc.syscall(number, b"user", b"agentgym", b"x", ctypes.c_size_t(1), -2))
""",
    ),
    "kernel.clock": program(
        "set the clock",
        """
def attack():
    time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))
    return "set"
""",
    ),
    "kernel.host_name": program(
        "rename the machine",
        """
def attack():
    socket.sethostname(socket.gethostname())
    return "renamed"
""",
    ),
    "kernel.settings": program(
        "open the kernel's settings for writing",
        """
def attack():
    told = []
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/overcommit_memory"):
        try:
            os.close(os.open(path, os.O_WRONLY))
            return path
        except OSError as error:
            told.append(error.strerror)
    raise PermissionError("; ".join(sorted(set(told))))
""",
    ),
    "kernel.control_groups": program(
        "change its own control groups",
        """
def attack():
    found = glob.glob("/sys/fs/cgroup/**/cgroup.procs", recursive=True)
    found += glob.glob("/sys/fs/cgroup/**/release_agent", recursive=True)
    for path in found:
        try:
            os.close(os.open(path, os.O_WRONLY))
            return path
        except OSError as error:
            told = error.strerror
    raise PermissionError(told if found else "none are seen")
""",
    ),
    "privilege.user_id": program(
        "become root",
        """
def attack():
    os.setresuid(0, 0, 0)
    return f"user {os.geteuid()}"
""",
    ),
    "privilege.setuid_program": program(
        "become root by a program of root's that is marked setuid",
        """
def attack():
    if os.getuid() == 0:
        return "root already"
    import shutil
    for path in ("su", "mount", "passwd", "newgrp", "chsh"):
        found = shutil.which(path)
        if found and os.stat(found).st_mode & 0o4000 and os.stat(found).st_uid == 0:
            done = subprocess.run([found, "--help"], capture_output=True)
            status = open("/proc/self/status").read()
            if "NoNewPrivs:\\t0" in status:
                return found
    shutil.copy(os.path.realpath(sys.executable), "python")
    os.chmod("python", 0o4755)
    done = subprocess.run(["./python", "-c", "import os; print(os.geteuid())"], capture_output=True, text=True)
    if done.stdout.strip() == "0":
        return "user 0"
    raise PermissionError(f"user {done.stdout.strip()}, and nothing new is gained by exec")
""",
    ),
    "privilege.capabilities": program(
        "hold or regain a capability",
        """
def attack():
    status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
    held = {name: status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    if any(int(value, 16) for value in held.values()):
        return held
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    must(libc.capset(header, (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)))
    return "regained"
""",
    ),
    "privilege.priority": program(
        "take precedence over the host's processes",
        """
def attack():
    os.setpriority(os.PRIO_PROCESS, 0, -5)
    return "done"
""",
    ),
}
"""By id."""
