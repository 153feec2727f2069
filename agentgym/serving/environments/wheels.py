"""What an image needs of Python packages, gathered here so that it is built without a network."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

import agentgym
from agentgym.core.errors import UsageError

DISTRIBUTION = "agentgym-harness"
SERVER = f"{DISTRIBUTION}[remote]"
"""What every image has."""
REQUIREMENTS = "requirements.txt"
"""The file beside a Dockerfile that names what an environment needs besides, one requirement a line; an extra of
agentgym's own as `agentgym-harness[shop]`."""
ALONE = "requirements-no-deps.txt"
"""The same for packages that are wanted without what they depend on."""
PYTHON = (3, 11)
"""The Python of the base image."""
_GLIBC = range(17, 37)
"""Minor versions of glibc 2 that a wheel for the base image (Debian 12) may be built for."""


def gather(folder: Path, environment: Path) -> None:
    """Put into `folder` a wheel of the agentgym that is running, and those of what it needs in the versions here.

    So too of what the folder of an environment asks for in `REQUIREMENTS` and `ALONE`. What was downloaded once is kept
    in the user's cache. Raises `UsageError` where `pip` cannot get one, and for a line that is no requirement.
    """
    wanted = sorted({*_expanded(Requirement(SERVER)), *listed(environment / REQUIREMENTS)})
    wheels = _downloaded(wanted, sorted(listed(environment / ALONE)))
    folder.mkdir(parents=True)
    for wheel in wheels.glob("*.whl"):
        shutil.copy(wheel, folder)
    own_wheel(folder)


def own_wheel(folder: Path) -> Path:
    """Write a wheel of the package as it lies here, from a checkout as from an installation, and return its path."""
    found = distribution(DISTRIBUTION)
    stem = f"{DISTRIBUTION.replace('-', '_')}-{found.version}"
    path = folder / f"{stem}-py3-none-any.whl"
    record: list[str] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:

        def add(name: str, data: bytes) -> None:
            wheel.writestr(zipfile.ZipInfo(name), data)
            digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(data)}")

        for name, file in _own_files():
            add(name, file.read_bytes())
        info = f"{stem}.dist-info"
        add(f"{info}/METADATA", (found.read_text("METADATA") or "").encode())
        add(f"{info}/entry_points.txt", (found.read_text("entry_points.txt") or "").encode())
        add(
            f"{info}/WHEEL",
            b"Wheel-Version: 1.0\nGenerator: agentgym\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,", ""]))
    return path


def _own_files() -> Iterator[tuple[str, Path]]:
    """The package's files by their names in it, through the links of a checkout."""
    root = Path(agentgym.__file__).parent
    for folder, inner, files in os.walk(root, followlinks=True):
        inner[:] = sorted(name for name in inner if name != "__pycache__")
        for name in sorted(files):
            file = Path(folder, name)
            yield (Path("agentgym") / file.relative_to(root)).as_posix(), file


def listed(file: Path) -> Iterator[str]:
    """Return the requirements in a file, where there is one; for agentgym's extras, what they consist of.

    Raises `UsageError` for a line that is none.
    """
    for line in file.read_text("utf-8").splitlines() if file.is_file() else ():
        text = line.partition("#")[0].strip()
        try:
            yield from _expanded(Requirement(text)) if text else ()
        except InvalidRequirement as error:
            raise UsageError(f"{file} has a line that is no requirement, {text!r}: {error}") from None


def _expanded(requirement: Requirement) -> Iterator[str]:
    """A requirement itself or, for the package that is running, what it and the named extras of it require."""
    if requirement.name != DISTRIBUTION:
        yield str(requirement)
        return
    for inner in map(Requirement, distribution(DISTRIBUTION).requires or ()):
        marker, inner.marker = inner.marker, None
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in requirement.extras):
            yield from _expanded(inner)


def _downloaded(wanted: Sequence[str], alone: Sequence[str]) -> Path:
    """Return the folder with these wheels, downloading them once for each set of versions."""
    pins = sorted(f"{one.name}=={one.version}" for one in distributions() if _pinnable(one))
    lines = [*wanted, "", *alone, "", *pins, platform.machine()]
    key = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentgym" / "wheels"
    done = cache / key
    if done.is_dir():
        return done
    partial = cache / f"{key}.{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / "constraints.txt").write_text("\n".join(pins) + "\n")
    try:
        _download(partial, wanted)
        if alone:
            _download(partial, ["--no-deps", *alone])
        partial.rename(done)
    except OSError:  # somebody else was faster
        if not done.is_dir():
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return done


def _download(folder: Path, words: Sequence[str]) -> None:
    version = ".".join(map(str, PYTHON))
    platforms = [f"--platform=manylinux_2_{minor}_{platform.machine()}" for minor in _GLIBC]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", f"--python-version={version}", "--implementation=cp", *platforms]
    command += [f"--platform=manylinux2014_{platform.machine()}", f"--dest={folder}"]
    command += [f"--constraint={folder / 'constraints.txt'}", *words]
    pip = subprocess.run(command, capture_output=True, text=True, check=False)
    if pip.returncode != 0:
        said = "\n".join(pip.stderr.splitlines()[-5:])
        raise UsageError(f"pip could not get the packages that go into the image:\n{said}")


def _pinnable(found: Distribution) -> bool:
    return "+" not in found.version and found.name != DISTRIBUTION
