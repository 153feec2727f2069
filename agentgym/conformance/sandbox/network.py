"""Attacks over the network and over sockets: anybody outside the box."""

from __future__ import annotations

from agentgym.conformance.sandbox.attack import Attack, program


def _connect(aim: str, family: str, address: str) -> Attack:
    return program(
        aim,
        f"""
def attack():
    with socket.socket(socket.{family}, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect({address})
        return connection.recv(100)
""",
    )


ATTACKS: dict[str, Attack] = {
    "network.tcp": _connect(
        "reach a server on the host's loopback", "AF_INET", '("127.0.0.1", given["tcp"])'
    ),
    "network.dns": program(
        "send a question in the manner of DNS",
        """
def attack():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(2)
        connection.sendto(b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\7example\\3org\\0\\0\\1\\0\\1", ("127.0.0.1", given["udp"]))
        return connection.recvfrom(100)[0]
""",
    ),
    "network.routes": program(
        "find a way out to other machines",
        """
def attack():
    lines = open("/proc/net/route").read().splitlines()[1:]
    found = [line.split()[0] for line in lines if line.split()[0] != "lo"]
    if found:
        return "routes by " + ", ".join(found)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.connect(("192.0.2.1", 53))
    return "a route to 192.0.2.1"
""",
    ),
    "network.unix_socket": _connect(
        "reach a UNIX socket of the host's by its path", "AF_UNIX", 'given["unix"]'
    ),
    "network.abstract_socket": _connect(
        "reach a UNIX socket of the host's by its abstract name", "AF_UNIX", '"\\0" + given["abstract"]'
    ),
    "network.docker_socket": program(
        "command the Docker daemon",
        """
def attack():
    told = set()
    for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock"):
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(10)
                connection.connect(path)
                connection.sendall(b"GET /version HTTP/1.0\\r\\nHost: docker\\r\\n\\r\\n")
                return path + " " + connection.recv(100).decode()
        except OSError as error:
            told.add(error.strerror or str(error))
    raise ConnectionError("; ".join(sorted(told)))
""",
    ),
    "network.packets": program(
        "listen to packets, or forge them",
        """
def attack():
    told = set()
    for family, kind in ((socket.AF_PACKET, socket.SOCK_RAW), (socket.AF_INET, socket.SOCK_RAW)):
        try:
            socket.socket(family, kind, socket.IPPROTO_ICMP).close()
            return f"family {family}"
        except OSError as error:
            told.add(error.strerror)
    raise PermissionError("; ".join(sorted(told)))
""",
    ),
    "network.configure": program(
        "give itself a network",
        """
def attack():
    import fcntl, struct
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        request = struct.pack("16sH14s", b"lo", 1 | 64, b"")
        fcntl.ioctl(connection, 0x8914, request)
    return "flags of lo were set"
""",
    ),
}
"""By id."""
