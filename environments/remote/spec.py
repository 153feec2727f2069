"""A URL as an environment: what the registry makes of `ws://...`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from gymnasium.envs.registration import EnvSpec as GymnasiumSpec

from agentgym.core.env import AgentEnv
from agentgym.core.errors import EnvironmentFault, UsageError
from agentgym.core.task import Split, TaskSuite
from agentgym.environments.remote.address import Address
from agentgym.environments.remote.connection import Connection, Unanswerable
from agentgym.environments.remote.env import RemoteEnv
from agentgym.environments.remote.plain import PlainEnv, PlainServer, PlainSuite


class RemoteSpec:
    """The environment that a server serves: `id`, `name` and `summary` are its own."""

    def __init__(self, url: str) -> None:
        """Ask the server what it serves; raises `UsageError` where the URL is none or nothing useful answers."""
        self._address = Address.parse(url)
        try:
            connection = Connection(self._address)
            try:
                described: Mapping[str, Any] = connection.ask("describe")
                self._plain: PlainServer | None = None
            except Unanswerable:
                self._plain = PlainServer.ask(self._address, connection)
                described = self._plain.described
            finally:
                connection.close()
            self.id: str = described["env_id"]
            self.name: str = described["name"]
            self.summary: str = described["summary"]
        except (EnvironmentFault, KeyError) as error:
            raise UsageError(str(error)) from error

    def make(self, split: Split, **options: Any) -> AgentEnv:
        """Begin a session over the tasks of `split`; `options` are the served environment's own."""
        if self._plain is None:
            env: AgentEnv = RemoteEnv(partial(_begin, self._address, split, options), split)
        else:
            _refuse_options(options)
            env = PlainEnv(self._plain, split)
        # By what Gymnasium can make another one; its kwargs are shown, so the address is not among them.
        again = partial(self.make, split)
        env.spec = GymnasiumSpec(self.id, again, kwargs=options, disable_env_checker=True)
        return env

    def suite(self, **options: Any) -> TaskSuite:
        """Return the suite of the served environment."""
        if self._plain is not None:
            _refuse_options(options)
            return PlainSuite(self.id)
        env = self.make(Split.TRAIN, **options)
        env.close()
        return env.suite


def _begin(
    address: Address, split: Split, options: Mapping[str, Any]
) -> tuple[Connection, Mapping[str, Any]]:
    connection = Connection(address)
    try:
        return connection, connection.ask("open", {"split": split.value, "options": options})
    except BaseException:
        connection.close()
        raise


def _refuse_options(options: Mapping[str, Any]) -> None:
    given = {name: value for name, value in options.items() if not (name == "render_mode" and value is None)}
    if given:
        raise UsageError(f"A server of plain OpenEnv takes no options, got {sorted(given)}; leave them out.")
