"""Environments in containers: a real daemon, real images."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import socket
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

import agentgym
from agentgym.core.env import EnvSpec
from agentgym.core.errors import UsageError
from agentgym.sandboxes.daemon import LABEL, OWNER, connect, owner
from agentgym.serving.environments.container import ContainerServer
from agentgym.serving.environments.wheels import DISTRIBUTION, listed, own_wheel

ROOT = Path(__file__).parents[3]
SHIPPED = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"][
    "agentgym.environments"
]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_manifest_and_the_dockerfile_of_every_world_agree(name: str) -> None:
    folder = ROOT / "environments" / name
    manifest: dict[str, Any] = yaml.safe_load((folder / "openenv.yaml").read_text("utf-8"))
    app = f"agentgym.serving.environments.asgi:{name}"
    assert manifest == {
        "spec_version": 1,
        "name": name,
        "type": "space",
        "runtime": "fastapi",
        "app": app,
        "port": 8000,
    }
    dockerfile = (folder / "Dockerfile").read_text("utf-8")
    assert f"EXPOSE {manifest['port']}" in dockerfile
    (entry,) = re.findall(r"^ENTRYPOINT (\[.*\])$", dockerfile, re.MULTILINE)
    words = ["agentgym", "serve", name, "--host", "0.0.0.0", "--port", "8000"]
    assert tomllib.loads(f"entry = {entry}")["entry"] == words
    assert re.search(r"^USER \d+:\d+$", dockerfile, re.MULTILINE), "as nobody in particular"
    froms = re.findall(r"^FROM (.*)$", dockerfile, re.MULTILINE)
    assert froms == ["${BASE_IMAGE} AS builder", "${BASE_IMAGE}"]
    assert dockerfile.rindex("\nUSER ") > dockerfile.rindex("\nFROM "), "the last stage's"


def test_every_folder_of_a_world_is_shipped() -> None:
    folders = (ROOT / "environments").glob("*/")
    assert {folder.name for folder in folders if (folder / "Dockerfile").exists()} == {*SHIPPED}


def test_what_an_environment_requires_is_read_beside_its_dockerfile(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    assert list(listed(file)) == []
    file.write_text("# Why.\nagentgym-harness[shop]  # its own\n\nmpmath>=1; python_version > '3'\n")
    found = list(listed(file))
    assert "jinja2>=3.1" in found
    assert not [one for one in found if one.startswith(("playwright", "websockets", DISTRIBUTION))]
    assert found[-1] == 'mpmath>=1; python_version > "3"'
    file.write_text("-r other.txt\n")
    with pytest.raises(
        UsageError, match=r"requirements.txt has a line that is no requirement, '-r other.txt'"
    ):
        list(listed(file))


def test_what_the_manifest_names_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    import uvicorn

    monkeypatch.setenv("AGENTGYM_TOKEN", "mine")
    config = uvicorn.Config("agentgym.serving.environments.asgi:household", log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    env = agentgym.make(f"ws://127.0.0.1:{listener.getsockname()[1]}")
    assert "Your task is to" in env.reset(seed=0)[0]
    env.close()
    server.should_exit = True
    thread.join()
    monkeypatch.delenv("AGENTGYM_TOKEN")
    with pytest.raises(UsageError, match="Set AGENTGYM_TOKEN"):
        uvicorn.Config("agentgym.serving.environments.asgi:household").load()


def test_a_wheel_of_what_is_running_has_all_of_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(own_wheel(tmp_path)) as wheel:
        names = set(wheel.namelist())
    for file in ("__init__.py", "py.typed", "environments/household/env.py", "training/recipes/grpo.toml"):
        assert f"agentgym/{file}" in names
    assert not [name for name in names if "__pycache__" in name]
    assert {name.partition("/")[2] for name in names if ".dist-info/" in name} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
    }


def containers(*purposes: str) -> list[str]:
    """Those of this process alone, whatever runs beside it; servers unless something else is named."""
    own = f"{OWNER}={owner(os.getpid())}"
    return [
        str(one.id)
        for purpose in purposes or ("server",)
        for one in connect().containers.list(all=True, filters={"label": [f"{LABEL}={purpose}", own]})
    ]


@pytest.mark.usefixtures("docker_daemon")
def test_an_episode_is_played_in_a_container_which_is_gone_in_the_end() -> None:
    before = containers()

    async def play() -> list[str]:
        async with ContainerServer("household", options={"max_steps": 30}, split="select") as server:
            url = server.url.replace("//", f"//:{server.token}@")
            await asyncio.to_thread(episode, url)
            return containers()

    during = asyncio.run(play())
    assert len(during) == len(before) + 1
    assert containers() == before


def episode(url: str) -> None:
    local, remote = agentgym.make("household", "select", max_steps=30), agentgym.make(url, "select")
    assert remote.reset(seed=3) == local.reset(seed=3)
    while (action := local.oracle()) is not None:
        assert remote.oracle() == action
        assert remote.step(action) == local.step(action)
    assert remote.snapshot() == local.snapshot()
    remote.close()


SPEC = """
from tests.serving.environments.worlds import PaintingSpec

class Mine(PaintingSpec):
    name = "mine"
"""
WRONG = {
    "": r"mine has no .*Dockerfile; write one, or serve without --container",
    "FROM scratch\nCOPY nothing /\n": r"does not build: .*nothing",
    'FROM scratch\nCOPY environment /\nENTRYPOINT ["python3"]\n': r"ended before it served:\n.*python3",
    'ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nENTRYPOINT ["python3", "-c", "import sys; sys.exit(\'no luck\')"]\n': (
        r"container of mine has ended before it served:\nno luck"
    ),
    "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN echo so far; nonsense\n": r"does not build: (.|\n)*nonsense",
}


def mine(folder: Path, dockerfile: str) -> EnvSpec:
    """Return a world of an image of one's own."""
    (folder / "world.py").write_text(SPEC)
    if dockerfile:
        (folder / "Dockerfile").write_text(dockerfile)
    found = importlib.util.spec_from_file_location("world_of_mine", folder / "world.py")
    assert found is not None
    assert found.loader is not None
    module = sys.modules["world_of_mine"] = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.Mine()


async def start(folder: Path, dockerfile: str) -> None:
    """Serve it, and stop."""
    async with ContainerServer(mine(folder, dockerfile)):
        pass


@pytest.mark.usefixtures("docker_daemon")
@pytest.mark.parametrize("dockerfile", WRONG)
def test_what_does_not_build_or_run_is_told(tmp_path: Path, dockerfile: str) -> None:
    before = containers()
    with pytest.raises(UsageError, match=WRONG[dockerfile]):
        asyncio.run(start(tmp_path, dockerfile))
    assert containers() == before


@pytest.mark.usefixtures("docker_daemon")
def test_a_start_that_is_cancelled_leaves_no_container(tmp_path: Path) -> None:
    async def cancel() -> None:
        idle = 'ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nENTRYPOINT ["sleep", "60"]\n'
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(start(tmp_path, idle), 0.05)

    before = containers()
    asyncio.run(cancel())
    assert containers() == before


PRYING = """
import http.server, json, os, socket, urllib.request

def reached(call):
    try:
        return str(call())
    except OSError as error:
        return type(error).__name__

class Prying(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = {"status": "healthy"}
        if self.path != "/health":
            url, address, port = self.path[1:].split(",")
            told = {
                "by the proxy": reached(lambda: urllib.request.urlopen(url, timeout=20).read().decode()),
                "directly": reached(lambda: socket.create_connection((address, int(port)), 5)),
                "to the world": reached(lambda: socket.create_connection(("1.1.1.1", 53), 5)),
                "interfaces": [name for _, name in socket.if_nameindex()],
                "large": "x" * 300_000,
            }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

http.server.HTTPServer(("127.0.0.1", 8000), Prying).serve_forever()
"""
PRIES = 'ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY environment/pry.py /\nENTRYPOINT ["python3", "/pry.py"]\n'


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A server of this machine's, at the address by which containers know it."""
    (bridge,) = connect().networks.list(names=["bridge"])
    address = str(bridge.attrs["IPAM"]["Config"][0]["Gateway"])
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer((address, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield address, server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("docker_daemon")
@pytest.mark.parametrize("allowed", [False, True])
def test_a_container_reaches_what_it_is_allowed_to_and_is_held_to_its_bounds(
    tmp_path: Path, site: tuple[str, int], allowed: bool
) -> None:
    address, port = site
    hosts = [f"{address}:{port}"] if allowed else []
    (tmp_path / "pry.py").write_text(PRYING)

    socket.create_connection(site).close()

    async def pry() -> tuple[dict[str, Any], dict[str, Any]]:
        async with ContainerServer(
            mine(tmp_path, PRIES), cpus=0.5, memory_bytes=1 << 28, allowed_hosts=hosts
        ) as server:
            asked = f"http{server.url.removeprefix('ws')}/http://{address}:{port},{address},{port}"
            answer = await asyncio.to_thread(httpx2.get, asked, timeout=60)
            (main,) = containers()
            return answer.json(), connect().containers.get(main).attrs["HostConfig"]

    told, bounds = asyncio.run(pry())
    assert ("Directory listing" in told.pop("by the proxy")) == allowed
    assert told.pop("large") == "x" * 300_000
    assert told == {"directly": "OSError", "to the world": "OSError", "interfaces": ["lo"]}
    assert (bounds["CpuQuota"] / bounds["CpuPeriod"], bounds["Memory"]) == (0.5, 1 << 28)
    assert containers("server", "relay", "proxy") == []


def test_a_path_among_the_options_is_mounted(tmp_path: Path) -> None:
    server = ContainerServer("alfworld", options={"data": str(tmp_path), "max_steps": 9})
    assert server.mounts == {str(tmp_path): {"bind": str(tmp_path), "mode": "ro"}}
    with pytest.raises(UsageError, match="no such file or folder"):
        ContainerServer("alfworld", options={"data": str(tmp_path / "none")})
