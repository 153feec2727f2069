"""The image of an environment: its Dockerfile, built with the package as it runs here."""

from __future__ import annotations

import hashlib
import inspect
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from docker.errors import ImageNotFound

from agentgym.core.env import EnvSpec
from agentgym.core.errors import UsageError
from agentgym.sandboxes.daemon import LABEL, connect, told
from agentgym.sandboxes.imaging import base_image, build
from agentgym.serving.environments.wheels import gather


def build_image(spec: EnvSpec) -> str:
    """Build the image of an environment, unless the last one is of the very same files, and return the image's id.

    The build's context is a folder with `wheels/`, all that a server and the environment's requirements files need, and
    `environment/`, the folder that the environment's code lies in. RUN lines have this machine's network. Raises
    `UsageError` where there is no Dockerfile, or it does not build.
    """
    client = connect()
    folder = Path(inspect.getfile(type(spec))).parent
    dockerfile, tag = folder / "Dockerfile", f"agentgym-{spec.name}:latest"
    if not dockerfile.is_file():
        raise UsageError(f"{spec.name} has no {dockerfile}; write one, or serve without --container.")
    base = base_image(client)
    with tempfile.TemporaryDirectory(prefix="agentgym-image-") as name:
        context = Path(name)
        gather(context / "wheels", folder)
        shutil.copytree(folder, context / "environment", ignore=shutil.ignore_patterns("__pycache__"))
        purpose = f"environment {_content_hash(context)}"
        with told(f"looking for the image {tag}"), suppress(ImageNotFound):
            found = client.images.get(tag)
            if found.labels.get(LABEL) == purpose:
                return str(found.id)
        return build(
            client,
            context,
            tag,
            dockerfile=dockerfile,
            arguments={"BASE_IMAGE": base},
            purpose=purpose,
            network="host",
        )


def _content_hash(folder: Path) -> str:
    """Return a hash of the names and contents of a folder's files."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
            found.update(path.read_bytes())
    return found.hexdigest()[:16]
