"""Environments by name: `make`, `make_vec`, `suite`, `register`.

An environment is an `EnvSpec` object. The shipped ones and those of other packages are announced as entry
points of the group `agentgym.environments` and imported only when asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from inspect import Parameter, signature
from typing import Any, TypeVar

from gymnasium.envs.registration import EnvSpec as GymnasiumSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agentgym.core.env import AgentEnv, EnvSpec
from agentgym.core.errors import AgentGymError, UnknownNameError, UsageError, did_you_mean
from agentgym.core.task import Split, TaskSuite

_T = TypeVar("_T")
ENTRY_POINT_GROUP = "agentgym.environments"

_SHIPPED: dict[str, str] = {
    "household": "agentgym.environments.household",
    "webshop": "agentgym.environments.webshop",
    "alfworld": "agentgym.environments.alfworld",
    "bfcl": "agentgym.environments.bfcl",
    "phone": "agentgym.environments.phone",
    "miniwob": "agentgym.environments.miniwob",
    "backoffice": "agentgym.environments.backoffice",
    "desktop": "agentgym.environments.desktop",
}
_registered: dict[str, EnvSpec] = {}


def register(spec: EnvSpec) -> None:
    """Add an environment for this process; raises `UsageError` when its id or name is taken."""
    for known in _registered.values():
        if known is not spec and (known.id == spec.id or known.name == spec.name):
            raise UsageError(
                f"Environment {spec.id!r} ({spec.name}) is registered already; choose another id."
            )
    _registered[spec.id] = spec


def registered() -> dict[str, EnvSpec]:
    """Return every known environment by id, importing those not imported yet."""
    for name in _announced():
        _load(name)
    return dict(sorted(_registered.items()))


def find_spec(name: str) -> EnvSpec:
    """Return the environment with this id or short name, or that a server serves at this URL.

    Raises `UnknownNameError` for a name that is not known, `UsageError` for a URL at which no environment is served.
    """
    if "://" in name:
        return _remote(name)
    for spec in _registered.values():  # added by `register`, or imported before
        if name in (spec.id, spec.name):
            return spec
    # The likely ones first, so that making one environment does not import them all.
    for announced in sorted(_announced(), key=lambda short: short not in name.lower()):
        spec = _load(announced)
        if name in (spec.id, spec.name):
            return spec
    names = [name for spec in _registered.values() for name in (spec.id, spec.name)]
    raise UnknownNameError("environment", name, names, "List them with `agentgym envs`.")


def recordable(name: str) -> str:
    """Return the name of an environment as it may be kept with a run; raises `UsageError` for a URL with a token."""
    if "://" in name and "@" in name:
        from agentgym.environments.remote.address import TOKEN_VARIABLE

        raise UsageError(
            f"What is kept with a run holds no token: write the URL without one, and set {TOKEN_VARIABLE}."
        )
    return name


def make(env_id: str, split: Split | str = Split.TRAIN, **options: Any) -> AgentEnv:
    """Build one environment over the tasks of `split`; `env_id` may be the URL of an environment server.

    Raises `UnknownNameError` for an unknown environment or split, `UsageError` for unknown options.
    """
    return _make(find_spec(env_id), Split.parse(split), **options)


def factory(
    env_id: str | EnvSpec, split: Split | str = Split.TRAIN, **options: Any
) -> Callable[[], AgentEnv]:
    """Return what makes one environment after another as `make` does; it pickles, for processes that make theirs.

    Raises `UnknownNameError` for an unknown environment or split.
    """
    spec = find_spec(env_id) if isinstance(env_id, str) else env_id
    return partial(_make, spec, Split.parse(split), **options)


def make_vec(env_id: str, num_envs: int, split: Split | str = Split.TRAIN, **options: Any) -> SyncVectorEnv:
    """Build `num_envs` environments behind Gymnasium's vector API; finished ones reset on their next step."""
    if num_envs < 1:
        raise UsageError(f"make_vec needs num_envs of at least 1, got {num_envs}.")
    find_spec(env_id)

    def build() -> AgentEnv:
        return make(env_id, split, **options)

    return SyncVectorEnv([build] * num_envs, autoreset_mode=AutoresetMode.NEXT_STEP)


def suite(name: str, **options: Any) -> TaskSuite:
    """Return the suite of tasks of an environment."""
    spec = find_spec(name)
    return _build(spec, spec.suite, **options)


def _make(spec: EnvSpec, split: Split, **options: Any) -> AgentEnv:
    env = _build(spec, spec.make, split, **options)
    if env.spec is None:  # with it, Gymnasium's own tools can make another one like it
        kwargs = {"env_id": spec.id, "split": split.value, **options}
        env.spec = GymnasiumSpec(spec.id, "agentgym.registry:make", kwargs=kwargs, disable_env_checker=True)
    return env


def _remote(url: str) -> EnvSpec:
    try:
        from agentgym.environments.remote.spec import RemoteSpec
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Environments behind a URL need {error.name}: pip install 'agentgym-harness[remote]'"
        ) from error
    return RemoteSpec(url)


def _announced() -> dict[str, str]:
    found = {point.name: point.value.partition(":")[0] for point in entry_points(group=ENTRY_POINT_GROUP)}
    return {**found, **_SHIPPED}


def _load(name: str) -> EnvSpec:
    from importlib import import_module

    module = _announced()[name]
    spec = getattr(import_module(module), "SPEC", None)
    if not isinstance(spec, EnvSpec):
        raise AgentGymError(
            f"Entry point {name!r} of group {ENTRY_POINT_GROUP!r}: module {module!r} has no `SPEC` with "
            "`id`, `name`, `summary`, `make` and `suite`."
        )
    if spec.id not in _registered:
        register(spec)
    return spec


def _build(spec: EnvSpec, build: Callable[..., _T], *args: Any, **options: Any) -> _T:
    try:
        return build(*args, **options)
    except TypeError as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown is None:
            raise
        parameters = signature(build).parameters.values()
        known = [parameter.name for parameter in parameters if parameter.kind is Parameter.KEYWORD_ONLY]
        listing = f" Known: {', '.join(sorted(known))}." if known else ""
        raise UsageError(
            f"{spec.id} has no option {unknown[1]!r}.{did_you_mean(unknown[1], known)}{listing}"
        ) from error
