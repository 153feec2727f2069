"""What agentgym can use of this machine: each feature, whether it works here, and what would mend it.

A probe looks and changes nothing. It tells what it saw, or raises `Lacking` with the command that helps.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DISTRIBUTION = "agentgym-harness"
_PROBE_SECONDS = 20.0
_GIB = 2**30
_ROOMY_GIB = 5.0
"""Free space under which a run with a few checkpoints may not fit."""


class State(StrEnum):
    """Whether a feature works here."""

    OK = "ok"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen of one feature."""

    feature: str
    what_for: str
    state: State
    detail: str
    mend: str = ""
    """The command, or the sentence, that makes it work; empty where it does."""

    def to_json(self) -> dict[str, str]:
        """Return the finding as JSON content."""
        return {key: str(value) for key, value in asdict(self).items()}


class Lacking(Exception):
    """A feature does not work here: what was seen, and what mends it."""

    def __init__(self, detail: str, mend: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.mend = mend


@dataclass(frozen=True, slots=True)
class Probe:
    """One feature and how it is looked at; `look` returns what it saw or raises `Lacking`."""

    feature: str
    what_for: str
    look: Callable[[], str]

    def run(self) -> Finding:
        """Look. What a probe does not foresee is told as it came, and is no failure of the others."""
        try:
            return Finding(self.feature, self.what_for, State.OK, self.look())
        except Lacking as lack:
            return Finding(self.feature, self.what_for, State.MISSING, lack.detail, lack.mend)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            return Finding(self.feature, self.what_for, State.MISSING, f"{type(error).__name__}: {error}")


def diagnose() -> Iterator[Finding]:
    """Look at every feature, one after another."""
    for probe in probes():
        yield probe.run()


def probes() -> list[Probe]:
    """Return what is looked at, the most needed first."""
    extras = [Probe(name, what_for, extra_probe(name)) for name, what_for in _EXTRAS.items()]
    return [Probe("python", "everything", _python), *extras, *_MACHINE]


_EXTRAS = {
    "train": "training, local models",
    "endpoint": "models behind a URL",
    "serve": "gateway, environment servers, viewer",
    "sandbox": "sandboxes",
    "shop": "the web shop",
    "browser": "worlds in a browser",
    "desktop": "worlds on a display",
    "phone": "pictures of the phone",
    "mcp": "tools and skills over MCP",
    "postgres": "stores in PostgreSQL",
    "export": "episodes as parquet",
    "wandb": "curves for Weights & Biases",
    "vllm": "sampling with vLLM",
}
_DISTRIBUTIONS = {"PIL": "pillow", "Xlib": "python-xlib"}
"""Of modules that are called otherwise."""


def extra_probe(name: str) -> Callable[[], str]:
    """Return what looks whether the packages of an extra are installed."""

    def look() -> str:
        wanted = requirements_of(name)
        if not wanted:
            raise Lacking(
                f"{DISTRIBUTION} {version(DISTRIBUTION)} was installed before it had the extra {name!r}",
                f"pip install '{DISTRIBUTION}[{name}]', from a clone: pip install --editable '.[{name}]'",
            )
        absent = [each.name for each in wanted if not _satisfied(each)]
        if absent:
            raise Lacking(f"not installed: {', '.join(absent)}", f"pip install '{DISTRIBUTION}[{name}]'")
        return ", ".join(f"{each.name} {version(each.name)}" for each in wanted)

    return look


def extra_with(module: str) -> str | None:
    """Return the first extra that brings a module of another distribution; None where none does."""
    top = module.partition(".")[0]
    wanted = canonicalize_name(_DISTRIBUTIONS.get(top, top))
    for extra in _EXTRAS:
        if any(canonicalize_name(each.name) == wanted for each in requirements_of(extra)):
            return extra
    return None


def requirements_of(extra: str) -> list[Requirement]:
    """Return what an extra of this distribution asks for, with that of the extras in it."""
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError as error:
        raise Lacking(f"{DISTRIBUTION} is imported, but not installed", "pip install --editable .") from error
    every = [Requirement(line) for line in lines]
    found = [each for each in every if each.marker and each.marker.evaluate({"extra": extra})]
    inner = [name for each in found if each.name == DISTRIBUTION for name in sorted(each.extras)]
    own = [each for each in found if each.name != DISTRIBUTION]
    return own + [each for name in inner for each in requirements_of(name)]


def _satisfied(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _python() -> str:
    return f"Python {platform.python_version()} at {sys.executable}"


def _gpu() -> str:
    if find_spec("torch") is None:
        raise Lacking("torch is not installed", f"pip install '{DISTRIBUTION}[train]'")
    # In a process of its own: loading torch takes seconds and megabytes that nothing else here needs.
    script = (
        "import json, torch; print(json.dumps({'cuda': [torch.cuda.get_device_name(i) for i in "
        "range(torch.cuda.device_count())], 'mps': torch.backends.mps.is_available(), 'build': torch.__version__}))"
    )
    told = json.loads(_output([sys.executable, "-c", script]))
    if told["cuda"]:
        return ", ".join(told["cuda"])
    if told["mps"]:
        return "Apple GPU (mps)"
    raise Lacking(
        f"torch {told['build']} sees none; models run on {os.cpu_count()} CPU cores",
        "On a machine with an NVIDIA GPU, install its driver and a CUDA build of torch.",
    )


def _compiler() -> str:
    return _output([_program(os.environ.get("CXX") or "c++", "g++"), "--version"]).splitlines()[0]


def _bubblewrap() -> str:
    program = _program("bwrap", "bubblewrap")
    try:
        _output([program, "--unshare-all", "--ro-bind", "/", "/", "true"])
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip() or f"exit code {error.returncode}"
        raise Lacking(
            f"{program} cannot make namespaces: {reason}",
            "sysctl -w kernel.unprivileged_userns_clone=1 (as root), or use the docker backend",
        ) from error
    return _output([program, "--version"])


def _docker() -> str:
    program = _program("docker", "docker.io")
    try:
        told = _output([program, "version", "--format", "{{.Server.Version}}"])
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no answer"])[0]
        raise Lacking(
            f"the client is there, the daemon is not: {reason}", "systemctl start docker, or run dockerd"
        ) from error
    return f"daemon {told}"


def _chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return _output([path, "--version"])
    raise Lacking("no Chromium in PATH", "apt install chromium")


def _display() -> str:
    for program, package in (("Xvfb", "xvfb"), ("openbox", "openbox"), ("dbus-run-session", "dbus")):
        _program(program, package)
    return "Xvfb, openbox, dbus"


def _postgres() -> str:
    found = shutil.which("pg_ctl") or shutil.which("psql")
    if found is None:
        raise Lacking(
            "no PostgreSQL in PATH", "apt install postgresql, or give the URL of a server elsewhere"
        )
    return _output([found, "--version"])


def _disk() -> str:
    free = shutil.disk_usage(".").free / _GIB
    if free < _ROOMY_GIB:
        raise Lacking(f"{free:.1f} GiB free here", "Free some space, or work in a folder on another disk.")
    return f"{free:,.0f} GiB free here"


def _memory() -> str:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    return f"{total:.0f} GiB, {os.cpu_count()} cores"


_MACHINE = [
    Probe("gpu", "large models", _gpu),
    Probe("compiler", "local models, up to twice as fast on a CPU", _compiler),
    Probe("bubblewrap", "process sandboxes", _bubblewrap),
    Probe("docker", "containers", _docker),
    Probe("chromium", "worlds in a browser", _chromium),
    Probe("display", "the desktop world", _display),
    Probe("postgresql", "stores in PostgreSQL", _postgres),
    Probe("memory", "everything", _memory),
    Probe("disk", "runs and checkpoints", _disk),
]


def _program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Lacking(f"no {name} in PATH", f"apt install {package}")
    return path


def _output(command: Sequence[str]) -> str:
    """Return what a command prints; raises `CalledProcessError` with its `stderr` where it fails."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_PROBE_SECONDS,
        check=True,
    )
    return done.stdout.strip()
