"""Images: built from Dockerfiles, on a base that is made here where no registry can be reached.

python -m agentgym.sandboxes.imaging     makes what the docker sandbox needs; `make images` does the same
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import APIError, BuildError, DockerException, ImageNotFound

from agentgym.core.errors import UsageError
from agentgym.sandboxes.daemon import LABEL, connect, told

BASE = "agentgym-base:bookworm"
"""Debian 12 with Python 3.11 (`venv` included) and certificates."""
SANDBOX = "agentgym-sandbox:1"
"""What a docker sandbox runs where it names no image."""
_REGISTRY_BASE = ("python", "3.11-slim-bookworm")
_PACKAGES = "python3,python3-venv,ca-certificates"
_MIRROR = "http://deb.debian.org/debian"
_UNUSED = (
    "var/lib/apt/lists",
    "var/cache/apt/archives",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
)
_FOLDER = Path(__file__).parent / "images"


def base_image(client: DockerClient) -> str:
    """Return the name of the base image; where it is not there yet it is pulled, or else made by debootstrap.

    Takes up to a minute, once; processes that ask at the same time wait for one of them. Raises `UsageError` where
    neither a registry nor a Debian mirror can be reached, with what to do.
    """
    with _one_at_a_time():
        if not _exists(client, BASE):
            try:
                image = client.images.pull(*_REGISTRY_BASE)
            except (APIError, DockerException):
                _bootstrap(client)
            else:
                image.tag(*BASE.split(":"))
    return BASE


def sandbox_image(client: DockerClient) -> str:
    """Return the name of the image of a sandbox that names none, building it where it is not there yet."""
    if not _exists(client, SANDBOX):
        base = base_image(client)
        with _one_at_a_time():
            if not _exists(client, SANDBOX):
                build(client, _FOLDER, SANDBOX, arguments={"BASE_IMAGE": base}, purpose="sandbox")
    return SANDBOX


def build(
    client: DockerClient,
    folder: Path,
    tag: str,
    *,
    dockerfile: Path | str = "Dockerfile",
    arguments: Mapping[str, str] | None = None,
    purpose: str = "image",
    network: str = "none",
) -> str:
    """Build a folder's Dockerfile and return the image's id; `arguments` are those that it declares by ARG.

    A relative `dockerfile` lies in the folder. `network` is that of its RUN lines: `none` or `host`. Raises
    `UsageError` where there is no Dockerfile, and where it does not build, with the end of what the build wrote.
    """
    path = folder / dockerfile
    if not path.is_file():
        raise UsageError(f"There is no Dockerfile {path}; give the folder that holds one.")
    with told(f"building {tag}"):
        try:
            image, _ = client.images.build(
                path=str(folder),
                dockerfile=str(path.resolve()),
                tag=tag,
                buildargs=dict(arguments or {}),
                labels={LABEL: purpose},
                network_mode=network,
                rm=True,
                forcerm=True,
            )
        except BuildError as error:
            entries: list[Any] = list(error.build_log)
            log = "".join(str(entry.get("stream") or entry.get("error") or "") for entry in entries)
            raise UsageError(f"{path} does not build: {error.msg}\n{_end(log)}") from None
        except APIError as error:
            if not error.is_client_error():
                raise
            raise UsageError(f"{path} does not build: {error.explanation or error}") from None
    return str(image.id)


def _exists(client: DockerClient, name: str) -> bool:
    with told(f"looking for the image {name}"):
        try:
            client.images.get(name)
        except ImageNotFound:
            return False
    return True


def _bootstrap(client: DockerClient) -> None:
    program = shutil.which("debootstrap", path=f"{os.defpath}:/usr/sbin:/sbin")
    if program is None or os.geteuid() != 0:
        lacking = (
            "it is not installed (apt install debootstrap)" if program is None else "it must run as root"
        )
        raise UsageError(
            f"The base image {BASE} is missing, no registry can be reached, and debootstrap cannot make it: {lacking}. "
            f"Or tag an image with Python 3 yourself: docker tag IMAGE {BASE}"
        )
    with tempfile.TemporaryDirectory(prefix="agentgym-base-") as folder:
        root = Path(folder, "root")
        done = subprocess.run(
            [program, "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(root), _MIRROR],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise UsageError(
                f"debootstrap could not make {BASE} from {_MIRROR}:\n{_end(done.stdout + done.stderr)}"
            )
        for unused in _UNUSED:
            shutil.rmtree(root / unused, ignore_errors=True)
        with (
            subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar,
            told("import"),
        ):
            repository, _, tag = BASE.partition(":")
            client.api.import_image_from_stream(
                tar.stdout, repository=repository, tag=tag, changes=[f"LABEL {LABEL}=base"]
            )


@contextmanager
def _one_at_a_time() -> Generator[None]:
    """Hold a lock between all processes of this user."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentgym"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _end(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-15:])


if __name__ == "__main__":
    sys.stdout.write(f"{BASE}\n{sandbox_image(connect())}\n")
