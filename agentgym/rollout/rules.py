"""The rules of a rollout: how environments are stepped, how long each wait may take, and what is played again."""

from __future__ import annotations

from dataclasses import dataclass, fields

from agentgym.core.env import Stepping
from agentgym.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that each wait may take; what takes longer is ended, and owned by whoever was waited for."""

    reset_s: float = 120.0
    """A reset, the making of the environment included: then `env_error`."""
    step_s: float = 60.0
    """Any other call of an environment: then `env_error`."""
    policy_s: float = 600.0
    """A decision of the agent: then `inference_error`."""
    episode_s: float = 3600.0
    """An episode as a whole, seen before each decision: then `truncated`. A decision under way has `policy_s`."""

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            if not getattr(self, name) > 0:
                raise ConfigError(f"Limits.{name} is a number of seconds above 0, got {getattr(self, name)}.")


@dataclass(frozen=True, slots=True)
class Rules:
    """What `collect` does about slow, hanging and failing episodes."""

    stepping: Stepping | None = None
    """None: as the environment says."""
    limits: Limits = Limits()
    retries: int = 1
    """How often an episode that ended by a fault of the infrastructure is played again, with the same seed."""
    retry_share: float = 0.1
    """The most that is played again in one call, as a share of what was planned; one episode at least."""
    stall_s: float = 120.0
    """After so many seconds in which nothing went on, the culprit is named and all stacks are written down."""

    def __post_init__(self) -> None:
        if self.retries < 0 or not 0 <= self.retry_share <= 1 or not self.stall_s > 0:
            raise ConfigError(
                "Rules need retries of at least 0, a retry_share from 0 to 1 and stall_s above 0, got "
                f"{self.retries}, {self.retry_share} and {self.stall_s}."
            )
