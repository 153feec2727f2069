"""The process backend's own: without root, without its programs, and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyseccomp  # pyright: ignore[reportMissingTypeStubs]
import pytest

import agentgym
from agentgym.core.errors import SandboxFault, UsageError
from agentgym.core.sandbox import SandboxSpec
from agentgym.sandboxes.cgroups import Cgroup, Hierarchy
from agentgym.sandboxes.process import ProcessSandbox
from tests.held import children, held
from tests.waiting import eventually

PACKAGE = Path(agentgym.__file__).parent
UNPRIVILEGED = """
import asyncio, os
from agentgym.core.sandbox import SandboxSpec
from agentgym.sandboxes.backends import sandbox

async def main():
    assert os.geteuid() == 4321
    async with sandbox(SandboxSpec(memory_bytes=1 << 27, pids=8, disk_bytes=1 << 20)) as box:
        print((await box.run(["sh", "-c", "id -u; head -c 2m /dev/zero >f; ls -d /home /etc/shadow"])).text)
        print((await box.run(["/usr/bin/python3", "-c", "bytearray(1 << 29)"])).stderr.decode())
        forks = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done"
        print((await box.run(["sh", "-c", forks])).stderr.decode())
    async with sandbox(SandboxSpec(network="allowlist", allowed_hosts=("example.org",))) as box:
        ask = "import urllib.request as u; u.urlopen('http://127.1/')"
        print((await box.run(["/usr/bin/python3", "-c", ask])).stderr.decode())

asyncio.run(main())
"""


def held_groups() -> list[Path]:
    """The control groups of this process's boxes."""
    return list(Path("/sys/fs/cgroup").glob(f"*/agentgym/{os.getpid()}-*"))


def test_a_box_leaves_nothing() -> None:
    before = held()

    async def main() -> None:
        async with ProcessSandbox(SandboxSpec()) as box:
            await box.run(["sh", "-c", "sleep 60 & touch /tmp/agentgym-left /dev/shm/agentgym-left"])
            shell = await box.shell()
            await shell.run("sleep 60 &")
            assert held_groups()
            assert held() - before
            assert (await box.run(["ls", "/tmp", "/dev/shm"])).text.count("agentgym-left") == 2
            assert not Path("/tmp/agentgym-left").exists()
            assert not Path("/dev/shm/agentgym-left").exists()

    asyncio.run(main())
    assert held() - before == set()
    assert held_groups() == []


def test_programs_that_have_ended_take_no_room() -> None:
    """However long it takes init to notice that the first process of each one's namespace has ended."""

    async def main() -> None:
        async with ProcessSandbox(SandboxSpec(pids=2)) as box:
            for _ in range(40):
                assert (await box.run(["true"])).ok
            forks = await box.run(["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done"])
            assert b"Cannot fork" in forks.stderr, "but no more processes than before are let live"

    asyncio.run(main())


def test_a_box_ends_with_the_program_that_made_it(tmp_path: Path) -> None:
    script = (
        "import asyncio\n"
        "from agentgym.core.sandbox import SandboxSpec\n"
        "from agentgym.sandboxes.process import ProcessSandbox\n"
        "async def main():\n"
        "    async with ProcessSandbox(SandboxSpec()) as box:\n"
        "        shell = await box.shell()\n"
        "        print((await shell.run('readlink /proc/self/ns/mnt')).text, flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=PACKAGE.parent)
    assert process.stdout is not None
    namespace = process.stdout.readline().decode().strip()
    assert namespace in namespaces()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert eventually(lambda: namespace not in namespaces())


def namespaces() -> set[str]:
    found: set[str] = set()
    for link in Path("/proc").glob("[0-9]*/ns/mnt"):
        try:
            found.add(str(link.readlink()))
        except OSError:
            continue
    return found


def test_it_needs_no_root(tmp_path: Path) -> None:
    """As another user, with the system's Python: limits are kept by other means."""
    home = tmp_path / "home"
    for part in ("core", "sandboxes"):
        shutil.copytree(PACKAGE / part, home / "agentgym" / part)
    shutil.copy(PACKAGE / "__init__.py", home / "agentgym")
    shutil.copy(pyseccomp.__file__, home)
    subprocess.run(["chmod", "-R", "a+rX", str(home)], check=True)
    command = ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups", "/usr/bin/python3", "-c"]
    for folder in home.parents:  # temporary folders are private to their owner
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(folder.stat().st_mode | 0o055)
    done = subprocess.run(
        [*command, UNPRIVILEGED],
        env={"PYTHONPATH": str(home), "PATH": os.environ["PATH"]},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[0] == "65534"
    assert "/home" not in done.stdout
    assert "MemoryError" in done.stdout
    assert "Cannot fork" in done.stdout
    assert "HTTP Error 403" in done.stdout, "its allow-list is kept"


def open_box(spec: SandboxSpec) -> None:
    async def main() -> None:
        async with ProcessSandbox(spec):
            pass

    asyncio.run(main())


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"needs bwrap, .*apt install bubblewrap mount util-linux"):
        open_box(SandboxSpec())


def test_roots_are_looked_at(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no root file system"):
        open_box(SandboxSpec(image=str(tmp_path)))
    for name in ("usr", "proc", "dev", "tmp", "work"):
        (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match="Everybody must be able to read"):
        open_box(SandboxSpec(image=str(tmp_path)))
    tmp_path.chmod(0o755)
    with pytest.raises(UsageError, match="needs sh and prlimit"):
        open_box(SandboxSpec(image=str(tmp_path)))
    with pytest.raises(UsageError, match="backend='docker'"):
        open_box(SandboxSpec(writable_root=True))


def test_no_user_namespaces_is_told() -> None:
    """In a user namespace that may have no further ones, as a host that forbids them."""
    script = (
        "import asyncio, os\n"
        "from agentgym.core.errors import UsageError\n"
        "from agentgym.core.sandbox import SandboxSpec\n"
        "from agentgym.sandboxes.process import ProcessSandbox\n"
        "open('/proc/sys/user/max_user_namespaces', 'w').write('0')\n"
        "try: asyncio.run(ProcessSandbox(SandboxSpec()).open())\n"
        "except UsageError as error: print(error)\n"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", script],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "User namespaces are switched off" in done.stdout
    assert "sysctl user.max_user_namespaces" in done.stdout


def test_a_box_that_breaks_is_a_fault_and_no_result() -> None:
    async def main() -> None:
        box, before = ProcessSandbox(SandboxSpec()), children()
        with pytest.raises(UsageError, match="not open yet"):
            await box.run(["true"])
        async with box:
            (holder,) = children() - before
            os.kill(holder, signal.SIGKILL)
            with pytest.raises(SandboxFault, match="process sandbox failed"):
                await box.run(["true"])

    asyncio.run(main())


def test_version_two_of_control_groups_is_written_as_it_wants(tmp_path: Path) -> None:
    """On a folder of plain files: this machine's own hierarchy may be of version 1."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids")
    hierarchy = Hierarchy.mounted(f"cgroup2 {tmp_path} cgroup2 rw 0 0\n")
    assert hierarchy is not None
    group = Cgroup(hierarchy.below("agentgym/box"), hierarchy.version)
    (tmp_path / "agentgym").mkdir()
    group.limit(SandboxSpec(cpus=0.5, memory_bytes=1 << 26, pids=10))
    folder = tmp_path / "agentgym" / "box"
    wrote = {file.name: file.read_text() for file in folder.iterdir()}
    assert wrote == {"pids.max": "18", "memory.max": str(1 << 26), "cpu.max": "50000 100000"}
    assert group.doors == [str(folder / "cgroup.procs")]
    (folder / "memory.events").write_text("low 0\noom 2\noom_kill 3\n")
    (folder / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    assert group.read() == (3, 2.5, None)
    (tmp_path / "cgroup.controllers").write_text("cpu")
    assert Hierarchy.mounted(f"cgroup2 {tmp_path} cgroup2 rw 0 0\n") is None
