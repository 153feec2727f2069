"""How the environments of a server are made, and where they live."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from inspect import signature
from typing import Any

from agentgym import registry
from agentgym.core.env import EnvSpec, Stepping
from agentgym.core.errors import EnvironmentFault, UsageError
from agentgym.core.task import Split
from agentgym.environments.remote.wire import space_to_json
from agentgym.rollout.hosts import EnvHost, InlineHost, ThreadHost
from agentgym.rollout.processes import Nursery, ProcessHost
from agentgym.rollout.rules import Limits
from agentgym.rollout.seat import MakeEnv


class Workshop:
    """Makes environments of one kind, over `split` and with `options` unless a client chooses otherwise.

    `options` cannot be chosen otherwise, nor can any that name a path of this machine. `call_s` is how long an
    environment may take over anything, in seconds. Raises `UsageError` where no environment can be made or served.
    """

    def __init__(self, spec: EnvSpec, split: Split, options: Mapping[str, Any], call_s: float) -> None:
        self.spec = spec
        self.split = split
        self._options = dict(options)
        self._limits = Limits(reset_s=call_s, step_s=call_s)
        self.make_env = registry.factory(spec, split, **self._options)
        try:
            env = self.make_env()
        except UsageError:
            raise
        except Exception as error:
            raise EnvironmentFault(f"{spec.id} could not be made: {error!r}.") from error
        try:
            self.stepping = Stepping(env.stepping)
            self.action_space = space_to_json(env.action_space)
            self.observation_space = space_to_json(env.observation_space)
        finally:
            with suppress(Exception):  # it was made only to be asked
                env.close()
        self._nursery = (
            Nursery(self.make_env, self._limits.reset_s) if self.stepping is Stepping.PROCESS else None
        )

    def host(self) -> EnvHost:
        """Return a place for one environment, which is made there when it is needed."""
        if self._nursery is not None:
            return ProcessHost(self._nursery, self._limits)
        kind = InlineHost if self.stepping is Stepping.INLINE else ThreadHost
        return kind(self.make_env, self._limits)

    def other(self, split: Split, options: Mapping[str, Any]) -> MakeEnv:
        """Return what makes the environments that a client wants; raises `UsageError` for what is not its to choose."""
        for name, value in options.items():
            if name in self._options and self._options[name] != value:
                raise UsageError(f"The option {name!r} is fixed by this server; leave it out.")
            if name not in self._options and names_a_path(self.spec, name):
                raise UsageError(
                    f"The option {name!r} names a path on the server's machine: give it to `agentgym serve` with -o."
                )
        return registry.factory(self.spec, split, **{**options, **self._options})

    def close(self) -> None:
        """End the processes that environments lived in."""
        if self._nursery is not None:
            self._nursery.close()


def names_a_path(spec: EnvSpec, option: str) -> bool:
    """Whether an option of an environment is a path of the machine that it is made on, by its annotation."""
    parameter = signature(spec.make).parameters.get(option)
    return parameter is not None and "Path" in str(parameter.annotation)
