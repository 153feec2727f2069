"""How a process sandbox is put together: the command lines that make its namespaces.

Two namespaces deep. A *holder* (this user's, trusted) keeps a mount namespace for as long as the box lives, with the
box's files on a tmpfs of limited size; it ends when its standard input does, so that nothing is left of a program that
was killed. Each program enters the holder's namespace, drops to a user that owns nothing on the host, and lets
bubblewrap make all other namespaces anew: when the program ends, its process namespace ends with all that it started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from agentgym.core.sandbox import MEBIBYTE, WORK, SandboxSpec
from agentgym.sandboxes.cgroups import Cgroup
from agentgym.sandboxes.listening import proxy_variables

STORE = "/dev/shm"
"""Where the holder mounts the box's files: a folder that each Linux has, seen like this by the holder alone."""
_FILES_PER_BYTE = 1 / 8192
_LEAST_FILES = 1024
_HOLD = f"""
set -e
mount -t tmpfs -o "size=$1,nr_inodes=$2,mode=755,nosuid,nodev" box {STORE}
cd {STORE}
mkdir work tmp shm shown
chmod 1777 tmp shm
printf 'root:x:0:0::/:/bin/false\\nbox:x:%s:%s::{WORK}:/bin/sh\\n' "$3" "$3" >passwd
printf 'root:x:0:\\nbox:x:%s:\\n' "$3" >group
if [ "$4" != 0 ]; then chown "$4:$4" work; fi
if [ -n "$5" ]; then mount --bind "$5" shown; fi
echo ready
exec cat >/dev/null
"""
_JOIN = 'while [ "$1" != -- ]; do echo $$ >"$1" || exit 1; shift; done; shift; exec "$@"'
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = ("alternatives", "ld.so.cache", "localtime", "mime.types", "ssl/certs")
"""Of the host's /etc: what programs do not run without, and what is the same everywhere."""


def interpreter() -> str:
    """Return the folder of the Python that runs this, where `/usr` does not hold it; otherwise an empty string."""
    prefix = os.path.realpath(sys.base_prefix)
    return "" if prefix == "/" or Path(prefix).is_relative_to("/usr") else prefix


def hold(spec: SandboxSpec, host_user: int) -> list[str]:
    """Return the command of a holder; `host_user` is 0 where it does not run as root."""
    files = max(_LEAST_FILES, int(spec.disk_bytes * _FILES_PER_BYTE))
    words = (spec.disk_bytes, files, spec.user, host_user, spec.image or interpreter())
    unshare = ["unshare", *_shared_network(spec), "--mount"]
    if not host_user:
        unshare += ["--user", "--map-root-user"]
    return [*unshare, "sh", "-c", _HOLD, "sh", *map(str, words)]


def listen(holder: int, host_user: int, words: Sequence[str]) -> list[str]:
    """Return the command of a program of ours that runs on this machine, but in a holder's network."""
    own = [] if host_user else ["--user", "--preserve-credentials"]
    return ["nsenter", f"--target={holder}", "--net", *own, "--", *words]


def enter(
    spec: SandboxSpec,
    holder: int,
    host_user: int,
    cgroup: Cgroup | None,
    descriptors: tuple[int, int, int],
    argv: Sequence[str],
) -> list[str]:
    """Return the command of a program.

    `descriptors` are those of the filter, of what `variables` returns, and of bubblewrap's status.
    """
    filter_end, variables_end, status_end = map(str, descriptors)
    join = ["sh", "-c", _JOIN, "sh", *cgroup.doors, "--"] if cgroup else []
    nsenter = ["nsenter", f"--target={holder}", "--mount", *_shared_network(spec)]
    if host_user:
        ids = [f"--reuid={host_user}", f"--regid={host_user}", "--clear-groups", "--inh-caps=-all"]
        nsenter += ["--", "setpriv", *ids, "--"]
    else:
        nsenter += ["--user", "--preserve-credentials", "--"]
    return [
        *join,
        *nsenter,
        *_limits(spec, with_memory=cgroup is None),
        *("bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"),
        *(("--share-net",) if spec.network == "allowlist" else ()),
        *("--seccomp", filter_end, "--json-status-fd", status_end),
        *(("--ro-bind", f"{STORE}/shown", "/") if spec.image else _host()),
        *("--proc", "/proc", "--dev", "/dev"),
        *("--bind", f"{STORE}/work", WORK, "--bind", f"{STORE}/tmp", "/tmp", "--bind", f"{STORE}/shm", STORE),
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *("--chdir", WORK, "--hostname", "box", "--uid", str(spec.user), "--gid", str(spec.user)),
        *("--cap-drop", "ALL", "--clearenv", "--args", variables_end),
        *("--", "prlimit", f"--nproc={spec.pids + 1}", "--", *argv),
    ]


def variables(spec: SandboxSpec) -> bytes:
    """Return the environment as options of bubblewrap's `--args`: on a command line everybody could read it."""
    own = "" if spec.image else interpreter()
    path = "/usr/local/bin:/usr/bin:/bin"
    basic = {"PATH": f"{own}/bin:{path}" if own else path, "HOME": WORK, "LANG": "C.UTF-8"}
    named = basic | proxy_variables(spec.allowed_hosts) | dict(spec.environment)
    words = [f"--setenv\0{name}\0{value}\0" for name, value in named.items()]
    return "".join(words).encode()


def _shared_network(spec: SandboxSpec) -> list[str]:
    """Return the option that makes, or enters, the network that the programs of a box with an allow-list share."""
    return ["--net"] if spec.network == "allowlist" else []


def _limits(spec: SandboxSpec, *, with_memory: bool) -> list[str]:
    limits = {
        "core": "0",
        "cpu": f"{spec.cpu_s}:{spec.cpu_s + 1}",
        "fsize": str(spec.disk_bytes + MEBIBYTE),  # a full disk is met first
        "memlock": "65536",
        "msgqueue": "0",
        "nofile": "1024",
        "sigpending": "1024",
    }
    if with_memory:
        limits["as"] = str(spec.memory_bytes)
    return ["prlimit", *(f"--{name}={value}" for name, value in limits.items()), "--"]


def _host() -> list[str]:
    """Show the host's programs, and nothing else of the host."""
    words = ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM:
        if Path("/", name).is_symlink():
            words += ["--symlink", str(Path("/", name).readlink()), f"/{name}"]
        elif Path("/", name).is_dir():
            words += ["--ro-bind", f"/{name}", f"/{name}"]
    for name in _ETC:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for name in ("passwd", "group"):
        words += ["--ro-bind", f"{STORE}/{name}", f"/etc/{name}"]
    if own := interpreter():
        words += ["--ro-bind", f"{STORE}/shown", own]
    return words
