"""What every backend's boxes do alike: programs, files, limits, shells, copies."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.errors import ConfigError, StepError, UnknownNameError, UsageError
from agentgym.core.sandbox import KilledBy, Sandbox, SandboxSpec
from agentgym.sandboxes.backends import sandbox
from agentgym.sandboxes.files import inside as clean_path
from agentgym.sandboxes.files import pack

ECHO = "import json, sys; json.dump({'twice': json.load(sys.stdin)['x'] * 2}, sys.stdout)"
SPEC = SandboxSpec(
    memory_bytes=64 << 20, pids=16, disk_bytes=4 << 20, output_bytes=10_000, wall_s=60, cpu_s=1
)


@pytest.fixture(params=["process", "docker"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "docker":
        request.getfixturevalue("docker_daemon")
    return request.param


def inside(backend: str, use: Callable[[Sandbox], Awaitable[None]], spec: SandboxSpec = SPEC) -> None:
    """Let `use` have a box."""

    async def main() -> None:
        async with sandbox(spec, backend) as box:
            await use(box)

    asyncio.run(main())


def test_programs_take_and_give_streams_and_files(backend: str) -> None:
    async def use(box: Sandbox) -> None:
        tool = await box.run(["python3", "-c", ECHO], stdin=b'{"x": 21}')
        assert (tool.json(), tool.ok, tool.stderr) == ({"twice": 42}, True, b"")
        copied = await box.run(
            ["sh", "-c", "cp in/a out; echo no >&2; exit 3"],
            files={"in/a": b"\0payload"},
            fetch=["out", "missing"],
        )
        assert (copied.exit_code, copied.stderr, copied.files) == (3, b"no\n", {"out": b"\0payload"})
        assert not copied.ok
        assert (await box.run(["./script"], files={"script": b"#!/bin/sh\npwd"})).text == "/work\n"
        assert (await box.run(["no-such-program"])).exit_code == 127
        assert (await box.run(["sh", "-c", "kill -9 $$"])).exit_code == 128 + 9
        await box.upload({"b": b"2", "-": b"3"})
        assert (await box.download("b"), await box.download("-")) == (b"2", b"3")
        piped = await box.run(["mkfifo", "pipe"], fetch=["pipe", "b"])
        assert piped.files == {"b": b"2"}, "what may have no end is not waited for"
        big = await box.run(["sh", "-c", "head -c 9000 | wc -c"], stdin=b"x" * 3_000_000)
        assert big.text.strip() == "9000", "what is not read is dropped"

    inside(backend, use)


def test_limits_end_programs_by_name(backend: str) -> None:
    async def use(box: Sandbox) -> None:
        slow = await box.run(["sh", "-c", "trap '' TERM; echo began; sleep 60"], timeout_s=4)
        assert (slow.killed_by, slow.stdout) == (KilledBy.WALL_TIME, b"began\n")
        busy = await box.run(["sh", "-c", "while :; do :; done"])
        assert busy.killed_by is KilledBy.CPU_TIME
        flood = await box.run(["yes"])
        assert (flood.killed_by, len(flood.stdout)) == (KilledBy.OUTPUT, 10_000)
        exact = await box.run(["head", "-c", "10000", "/dev/zero"])
        assert (exact.ok, len(exact.stdout)) == (True, 10_000)
        greedy = await box.run(["python3", "-c", "b = bytearray(1 << 30)"])
        assert greedy.killed_by is KilledBy.MEMORY
        full = await box.run(["sh", "-c", "head -c 9m /dev/zero >big"])
        assert b"No space left" in full.stderr

    inside(backend, use)


def test_a_shell_lasts(backend: str) -> None:
    async def use(box: Sandbox) -> None:
        shell = await box.shell()
        assert (await shell.run("x=1; mkdir d; cd d; sleep 60 &")).ok
        told = await shell.run("echo $x $PWD; echo error >&2; printf end; false")
        assert (told.stdout, told.exit_code) == (b"1 /work/d\nerror\nend", 1)
        assert (await shell.run("if")).exit_code == 2, "a syntax error ends the command alone"
        assert (await shell.run("cat; echo 'a\nb'")).text == "a\nb\n"
        await box.upload({"d/seen": b"yes"})
        assert (await shell.run("cat seen; kill $!")).text == "yes"
        assert (await shell.run("exit 7")).exit_code == 7
        assert not shell.alive
        with pytest.raises(StepError, match="open another"):
            await shell.run("echo")
        other = await box.shell()
        assert (await other.run("sleep 60", timeout_s=0.5)).killed_by is KilledBy.WALL_TIME
        assert not other.alive
        third = await box.shell()
        assert (await third.run("yes")).killed_by is KilledBy.OUTPUT

    inside(backend, use)


def test_what_a_shell_leaves_running_does_not_disturb_the_next_command(backend: str) -> None:
    async def use(box: Sandbox) -> None:
        shell = await box.shell()
        await shell.run("(while :; do printf .; sleep 0.001; done) & writer=$!")
        for number in range(20):
            told = await shell.run(f"echo {number}; sleep 0.001", timeout_s=60)
            assert (told.exit_code, told.text.strip(".")) == (0, f"{number}\n"), told
        await shell.run("kill $writer")
        stopped = "until grep -q State:.T /proc/$$/status; do sleep 0.01; done; touch stopped"
        await shell.run(f"(sleep 0.1; kill -STOP $$; {stopped}) &")
        while not (await box.run(["test", "-e", "stopped"])).ok:
            await asyncio.sleep(0.02)
        async with asyncio.timeout(60):
            late = await shell.run(f"echo {'x' * 300_000}", timeout_s=0.5)
        assert late.killed_by is KilledBy.WALL_TIME, "a shell that reads nothing is not waited for"
        other = await box.shell()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(other.run("sleep 600; echo late"), 0.2)
        assert not other.alive, "what was cancelled does not answer the next command"

    inside(backend, use)


def test_copies_go_their_own_ways(backend: str) -> None:
    async def use(box: Sandbox) -> None:
        await box.run(["sh", "-c", "mkdir d; echo 1 >d/n; ln -s d/n link; chmod 000 d/n; touch .hidden"])
        saved = await box.snapshot()
        await box.run(["sh", "-c", "chmod 644 d/n; rm -r d; echo new >other"])
        twin = await box.fork()
        try:
            assert (await twin.run(["ls", "-A"])).text.split() == [".hidden", "link", "other"]
            await twin.run(["rm", "other"])
        finally:
            await twin.close()
        assert await box.download("other") == b"new\n"
        await box.restore(saved)
        assert (await box.run(["ls", "-A"])).text.split() == [".hidden", "d", "link"]

    inside(backend, use)


def test_programs_run_beside_each_other_and_end_when_cancelled(backend: str) -> None:
    async def use(box: Sandbox) -> None:
        reader = asyncio.create_task(box.run(["sh", "-c", "until [ -e go ]; do sleep 0.05; done; cat go"]))
        await box.upload({"go": b"gone"})
        assert (await reader).text == "gone"
        endless = asyncio.create_task(box.run(["sh", "-c", "while :; do date +%N >tick; sleep 0.02; done"]))
        while not (await box.run(["test", "-e", "tick"])).ok:
            await asyncio.sleep(0.02)
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless
        assert await box.download("tick") == await box.download("tick")

    inside(backend, use)


def test_what_is_asked_for_wrongly_is_told(backend: str) -> None:
    async def use(box: Sandbox) -> None:
        for path in ("../up", "/etc/passwd", "", "a/../../b", "nul\0", "half\ud800"):
            with pytest.raises(UsageError, match="relative to /work"):
                await box.upload({path: b""})
            with pytest.raises(UsageError, match="relative to /work"):
                await box.download(path)
        with pytest.raises(UsageError, match=r"could not be read: .*No such file"):
            await box.download("nothing")
        with pytest.raises(UsageError, match="raise disk_bytes"):
            await box.upload({"big": bytes(5 << 20)})
        for words in ("ls", [], [""], ["ls", "nul\0"], ["ls", "half\ud800"]):
            with pytest.raises(UsageError, match="list of words"):
                await box.run(words)
        with pytest.raises(UsageError, match="timeout_s"):
            await box.run(["ls"], timeout_s=0)
        with pytest.raises(UsageError, match=r"has no python9\.9"):
            await box.run(["python9.9", "-c", "1"])
        with pytest.raises(UsageError, match="could not be restored"):
            await box.restore(b"no archive")

    inside(backend, use)


def test_the_environment_is_what_the_spec_says_and_no_more(backend: str) -> None:
    async def use(box: Sandbox) -> None:
        seen = (await box.run(["env"])).text.splitlines()
        assert "GREETING=hello = wörld" in seen
        assert {line.partition("=")[0] for line in seen} <= {
            "PATH",
            "HOME",
            "LANG",
            "PWD",
            "HOSTNAME",
            "GREETING",
        }
        secret = f"for f in /proc/[0-9]*/cmdline; do grep -a wörld $f; done; cat /proc/{os.getpid()}/environ"
        assert "hello" not in (await box.run(["sh", "-c", secret])).text
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                assert b"hello = w" not in file.read_bytes(), "on the host's command lines"

    inside(backend, use, replace(SPEC, environment={"GREETING": "hello = wörld"}))


@given(st.text(st.characters(), max_size=300))
def test_a_path_that_is_taken_stays_inside(path: str) -> None:
    try:
        clean = clean_path(path)
    except UsageError:
        return
    assert os.path.normpath(f"/work/{clean}").startswith("/work/")
    with tarfile.open(fileobj=io.BytesIO(pack({path: b"x"}))) as archive:
        assert archive.getnames() == [clean]


def test_specs_that_make_no_sense_are_refused() -> None:
    for wrong in (
        {"user": 0},
        {"memory_bytes": 0},
        {"wall_s": float("inf")},
        {"network": "all"},
        {"network": "allowlist"},
        {"allowed_hosts": ("example.org",)},
        {"environment": {"A=B": "c"}},
        {"environment": {"A": "half\ud800"}},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong)).partition("_")[0]):
            SandboxSpec(**wrong)  # pyright: ignore[reportArgumentType]


def test_an_unknown_backend_is_named() -> None:
    async def use(box: Sandbox) -> None:
        raise AssertionError(box)

    with pytest.raises(UnknownNameError, match="Did you mean 'process'"):
        inside("proces", use)
