"""The docker backend's own: images, a daemon that is not there, what dead runs leave, boxes made ahead."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentgym.core.errors import SandboxFault, UsageError
from agentgym.core.sandbox import Sandbox, SandboxSpec
from agentgym.sandboxes.backends import sandbox
from agentgym.sandboxes.daemon import OWNER, connect, owner, reap
from agentgym.sandboxes.imaging import base_image, build
from agentgym.sandboxes.pool import WarmPool
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
MAKER = """
import asyncio
from agentgym.core.sandbox import SandboxSpec
from agentgym.sandboxes.docker import DockerSandbox

async def main():
    async with DockerSandbox(SandboxSpec()) as box:
        print((await box.run(["hostname"])).text, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""
UNREACHABLE = """
import asyncio, sys
from agentgym.core.errors import UsageError
from agentgym.core.sandbox import SandboxSpec
from agentgym.sandboxes.backends import sandbox

async def main():
    async with sandbox(SandboxSpec(), "docker"):
        pass

try: asyncio.run(main())
except UsageError as error: print(error)
"""


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("unix:///nowhere/docker.sock", "there is no /nowhere/docker.sock; start it"),
        ("unix:///dev/null", "does not answer"),
        ("tcp://127.0.0.1:1", "set DOCKER_HOST=unix://PATH"),
    ],
)
def test_a_daemon_that_is_not_there_is_told(host: str, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNREACHABLE],
        env={"DOCKER_HOST": host},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert told in done.stdout


@pytest.mark.usefixtures("docker_daemon")
def test_dead_runs_are_cleared_away_and_live_ones_are_not() -> None:
    client = connect()
    process = subprocess.Popen([sys.executable, "-c", MAKER], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"box\n"
        (made,) = boxes(process.pid)
        reap(client)
        assert boxes(process.pid) == {made}
        name = owner(process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    reap(client)  # or a test beside this one, which has just begun and is at it
    assert eventually(lambda: not owned(name))


@pytest.mark.usefixtures("docker_daemon")
def test_dockerfiles_that_do_not_build_say_why(tmp_path: Path) -> None:
    client = connect()
    with pytest.raises(UsageError, match="There is no Dockerfile"):
        build(client, tmp_path, "agentgym-test:none")
    arguments = {"BASE_IMAGE": base_image(client)}
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN echo the reason && exit 3\n")
    with pytest.raises(UsageError, match=r"(?s)does not build: .*the reason"):
        build(client, tmp_path, "agentgym-test:broken", arguments=arguments)
    dockerfile.write_text("FRM nothing\n")
    with pytest.raises(UsageError, match="does not build"):
        build(client, tmp_path, "agentgym-test:broken")


@pytest.mark.usefixtures("docker_daemon")
def test_images_are_looked_at(tmp_path: Path) -> None:
    client = connect()
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    image = build(client, tmp_path, f"agentgym-test:empty-{os.getpid()}")
    try:
        for name, told in (("agentgym-test:missing", "Docker has no image"), (image, "has no `sh`")):
            with pytest.raises(UsageError, match=told):
                asyncio.run(opened(SandboxSpec(image=name)))
    finally:
        client.images.remove(image, force=True)


async def opened(spec: SandboxSpec) -> None:
    async with sandbox(spec, "docker"):
        pass


@pytest.mark.usefixtures("docker_daemon")
def test_a_root_that_can_be_written_to_and_orphans_without_end() -> None:
    async def main() -> None:
        async with sandbox(SandboxSpec(writable_root=True, pids=16), "docker") as box:
            touched = await box.run(["sh", "-c", "id -u; echo new >/var/tmp/file; cat /var/tmp/file"])
            assert touched.stdout.split() == [b"65534", b"new"]
            for _ in range(3):  # more than the box may have at a time: each round's are reaped
                left = await box.run(["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do setsid sleep 60 & done"])
                assert left.stderr == b""

    asyncio.run(main())


@pytest.mark.usefixtures("docker_daemon")
def test_a_program_killed_with_another_is_a_fault_and_no_result() -> None:
    async def main() -> None:
        async with sandbox(SandboxSpec(), "docker") as box:
            bystander = asyncio.create_task(box.run(["sh", "-c", "touch begun; sleep 600"]))
            while not (await box.run(["test", "-e", "begun"])).ok:
                await asyncio.sleep(0.02)
            shell = await box.shell()
            assert (await shell.run("echo up")).text == "up\n"
            await box.run(["sleep", "60"], timeout_s=0.5)
            with pytest.raises(SandboxFault, match="boxes of their own"):
                await bystander
            with pytest.raises(SandboxFault, match="boxes of their own"):
                await shell.run("echo")
            assert (await box.run(["echo", "on"])).text == "on\n"

    asyncio.run(main())


@pytest.mark.usefixtures("docker_daemon")
def test_boxes_are_made_ahead_and_used_once() -> None:
    async def main() -> None:
        before = boxes(os.getpid())
        async with WarmPool(SandboxSpec(), 2) as pool:
            assert len(boxes(os.getpid()) - before) == 2
            async with pool.sandbox() as one, pool.sandbox() as other:
                await asyncio.gather(leave(one), leave(other))
            async with pool.sandbox() as third:
                assert not (await third.run(["test", "-e", "mark"])).ok
        assert not boxes(os.getpid()) - before
        with pytest.raises(UsageError, match="closed"):
            async with pool.sandbox():
                pass

    asyncio.run(main())


async def leave(box: Sandbox) -> None:
    assert not (await box.run(["test", "-e", "mark"])).ok
    await box.upload({"mark": b""})


def boxes(pid: int) -> set[str]:
    """The containers that a process made: other tests have theirs at the same time."""
    return owned(owner(pid))


def owned(name: str) -> set[str]:
    found = connect().containers.list(all=True, filters={"label": f"{OWNER}={name}"}, ignore_removed=True)
    return {str(container.id) for container in found}
