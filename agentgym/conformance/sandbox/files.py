"""Attacks on files: the host's, read or written, by every road there is."""

from __future__ import annotations

from agentgym.conformance.sandbox.attack import Attack, program

ATTACKS: dict[str, Attack] = {
    "files.read": program(
        "read a file of the host's that everybody may read",
        """
def attack():
    return open(given["secret"]).read()
""",
    ),
    "files.read_shadow": program(
        "read the passwords' hashes",
        """
def attack():
    return len(open("/etc/shadow").read())
""",
    ),
    "files.write": program(
        "write a file of the host's that everybody may write",
        """
def attack():
    with open(given["secret"], "r+") as file:
        file.write("overwritten")
    return "written"
""",
    ),
    "files.write_system": program(
        "put a file among the system's",
        """
def attack():
    told = []
    for folder in ("/", "/usr/bin", "/usr/lib", "/etc", "/var", "/opt", "/root", "/dev", "/sys", "/proc"):
        try:
            path = os.path.join(folder, given["marker"])
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
            os.unlink(path)
            return "a file in " + folder
        except OSError as error:
            told.append(f"{folder} {error.strerror}")
    raise PermissionError("; ".join(told))
""",
    ),
    "files.symbolic_link": program(
        "reach a file of the host's by a symbolic link",
        """
def attack():
    os.symlink(given["secret"], "link")
    try:
        return open("link").read()
    except OSError as error:
        raise PermissionError(f"the link leads to {given['secret']} of the box: {error.strerror}")
    finally:
        os.unlink("link")
""",
    ),
    "files.hard_link": program(
        "reach a file of the host's by a hard link",
        """
def attack():
    told = set()
    for folder in (".", given["folder"]):
        try:
            os.link(given["secret"], folder + "/hard")
            return open(folder + "/hard").read()
        except OSError as error:
            told.add(error.strerror)
    raise PermissionError("; ".join(sorted(told)))
""",
    ),
    "files.parents": program(
        "climb out by more parents than there are",
        """
def attack():
    os.mkdir("deep") if not os.path.isdir("deep") else None
    return open("deep" + "/.." * 40 + given["secret"]).read()
""",
    ),
    "files.roots_of_processes": program(
        "reach a file of the host's by the root or the working directory of a process",
        """
def attack():
    told = set()
    for link in glob.glob("/proc/*/root") + glob.glob("/proc/*/cwd"):
        if link.split("/")[2] in ("self", "thread-self", str(os.getpid())):
            continue
        try:
            return open(link + given["secret"]).read() and link
        except OSError as error:
            told.add(error.strerror)
    raise PermissionError("; ".join(sorted(told)) or "no other processes")
""",
    ),
    "files.descriptors": program(
        "use a descriptor that was left open",
        """
def attack():
    return os.pread(given["descriptor"], 100, 0).decode()
""",
    ),
    "files.handles": program(
        "open files by their handles, past all names",
        """
def attack():
    handle = ctypes.create_string_buffer(b"\\x08\\0\\0\\0\\x01\\0\\0\\0" + b"\\x02" + b"\\0" * 130)
    told = refused(libc.open_by_handle_at, os.open("/", os.O_RDONLY), handle, os.O_RDONLY)
    if told:
        raise PermissionError(told)
    return "handles are looked up"
""",
    ),
    "files.chroot": program(
        "leave by changing the root",
        """
def attack():
    os.makedirs("jail", exist_ok=True)
    os.chroot("jail")
    return "the root was changed"
""",
    ),
    "files.device_nodes": program(
        "make a node of a disk",
        """
def attack():
    import stat
    os.mknod("disk", 0o600 | stat.S_IFBLK, os.makedev(7, 200))
    os.unlink("disk")
    return "a block device was made"
""",
    ),
    "files.devices": program(
        "open the devices of memory, disks, messages and machines",
        """
def attack():
    told = []
    for path in ("/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/net/tun", *glob.glob("/dev/[hsv]d[a-z]")):
        try:
            os.close(os.open(path, os.O_RDONLY))
            return path
        except OSError as error:
            told.append(error.strerror)
    raise PermissionError("; ".join(sorted(set(told))))
""",
    ),
}
"""By id."""
