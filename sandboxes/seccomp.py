"""The system calls that programs in a process sandbox do without, as a filter for the kernel.

A list of refusals, not of permissions: what it refuses is what changes namespaces or mounts, looks into other
processes, talks to the kernel's insides, or reaches devices past the namespaces. Refused calls fail with EPERM.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import cache

from agentgym.core.errors import UsageError

# fmt: off
_REFUSED = (
    "acct", "add_key", "adjtimex", "afs_syscall", "bpf", "chroot", "clock_adjtime", "clock_settime",
    "create_module", "delete_module", "fanotify_init", "finit_module", "fsconfig", "fsmount", "fsopen",
    "fspick", "get_kernel_syms", "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup",
    "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mbind",
    "migrate_pages", "mount", "mount_setattr", "move_mount", "move_pages", "name_to_handle_at",
    "nfsservctl", "open_by_handle_at", "open_tree", "perf_event_open", "personality", "pidfd_getfd",
    "pivot_root", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace", "query_module",
    "quotactl", "quotactl_fd", "reboot", "request_key", "set_mempolicy", "setdomainname", "sethostname",
    "setns", "settimeofday", "stime", "swapoff", "swapon", "sysfs", "_sysctl", "syslog", "umount",
    "umount2", "unshare", "uselib", "userfaultfd", "ustat", "vhangup", "vserver",
)
# fmt: on
_NAMESPACE_FLAGS = (
    0x00000080,  # CLONE_NEWTIME
    0x00020000,  # CLONE_NEWNS
    0x02000000,  # CLONE_NEWCGROUP
    0x04000000,  # CLONE_NEWUTS
    0x08000000,  # CLONE_NEWIPC
    0x10000000,  # CLONE_NEWUSER
    0x20000000,  # CLONE_NEWPID
    0x40000000,  # CLONE_NEWNET
)
_TERMINAL_INPUT = (0x5412, 0x541C)
"""ioctls TIOCSTI and TIOCLINUX, which type into a terminal."""


@cache
def program() -> bytes:
    """Return the filter as a BPF program for `bwrap --seccomp`.

    Socket families but UNIX, IPv4, IPv6 and netlink are refused: a network namespace does not hold back VSOCK, which
    reaches a virtual machine's host. Raises `UsageError` where pyseccomp or libseccomp is missing.
    """
    try:
        import pyseccomp  # pyright: ignore[reportMissingTypeStubs]
    except (ImportError, RuntimeError) as error:
        raise UsageError(
            f"The process sandbox filters system calls with pyseccomp and libseccomp ({error}); install them: "
            "pip install 'agentgym-harness[sandbox]', apt install libseccomp2."
        ) from None
    refuse = pyseccomp.ERRNO(errno.EPERM)
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in _REFUSED:
        if _exists(pyseccomp.resolve_syscall, name):
            rules.add_rule(refuse, name)
    # Its flags lie in memory, where a filter cannot look; C libraries then fall back to clone.
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    for flag in _NAMESPACE_FLAGS[1:]:  # for clone, the first is part of the signal's number
        rules.add_rule(refuse, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    for request in _TERMINAL_INPUT:
        rules.add_rule(refuse, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, 0xFFFFFFFF, request))
    for family in (0, *range(3, 10), *range(11, 16)):
        rules.add_rule(refuse, "socket", pyseccomp.Arg(0, pyseccomp.EQ, family))
    rules.add_rule(refuse, "socket", pyseccomp.Arg(0, pyseccomp.GT, 16))
    with os.fdopen(os.memfd_create("seccomp"), "r+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _exists(resolve: Callable[[int, str], int], name: str) -> bool:
    """Whether this machine's architecture has a system call."""
    try:
        return resolve(0, name) >= 0
    except ValueError:
        return False
