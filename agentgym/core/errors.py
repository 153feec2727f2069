"""Every error agentgym raises on purpose.

    AgentGymError
    ├── UsageError (ValueError)          the caller gave something wrong; the CLI exits with 2
    │   ├── UnknownNameError             a name that is not registered; says what was probably meant
    │   ├── ConfigError                  a recipe or config field with a wrong type, value or combination
    │   ├── TaskError                    a task that does not fit the environment it was given to
    │   ├── LeakError                    something learned would derive from a task that agents are evaluated on
    │   └── CheckpointError              a checkpoint that is missing, truncated or of another shape
    ├── StepError (RuntimeError)         reset/step called in the wrong order
    ├── NotForkableError (RuntimeError)  the environment can neither snapshot nor replay
    └── InfrastructureError (RuntimeError)   not the agent's fault; never becomes a reward
        ├── EnvironmentFault
        ├── InferenceFault
        ├── SandboxFault
        └── StoreFault

A message says what was got, at which boundary, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AgentGymError(Exception):
    """Base of every error raised on purpose. `exit_code` is what the CLI exits with."""

    exit_code: int = 1


class UsageError(AgentGymError, ValueError):
    """The caller gave something that cannot work."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not registered."""

    def __init__(self, kind: str, name: str, known: Iterable[str], advice: str = "") -> None:
        self.kind = kind
        self.name = name
        self.known = sorted(known)
        super().__init__(unknown_name_message(kind, name, self.known, advice))

    def __reduce__(self) -> tuple[object, ...]:
        return (UnknownNameError, (self.kind, self.name, self.known))


class ConfigError(UsageError):
    """A configuration field with a wrong type or value, or fields that do not fit together."""


class TaskError(UsageError):
    """A task that does not fit the environment or split it was given to."""


class LeakError(UsageError):
    """Something learned would derive from a task that agents are evaluated on."""


class CheckpointError(UsageError):
    """A checkpoint that cannot be loaded."""


class StepError(AgentGymError, RuntimeError):
    """`step` before `reset`, or after the end of the episode."""


class NotForkableError(AgentGymError, RuntimeError):
    """This environment offers neither snapshots nor replay."""


class InfrastructureError(AgentGymError, RuntimeError):
    """Something other than the agent failed. Such an episode has no score."""


class EnvironmentFault(InfrastructureError):
    """The environment raised or timed out."""


class InferenceFault(InfrastructureError):
    """The policy could not produce tokens."""


class SandboxFault(InfrastructureError):
    """A sandbox could not run."""


class StoreFault(InfrastructureError):
    """The store could not be written or read."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?`, or an empty string when nothing is close.

    >>> did_you_mean("houshold", ["household", "webshop"])
    " Did you mean 'household'?"
    """
    matches = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def unknown_name_message(kind: str, name: str, known: Iterable[str], advice: str = "") -> str:
    """Say that `name` is no known `kind`, what was probably meant, and what there is.

    >>> unknown_name_message("split", "trian", ["train", "select"])
    "Unknown split 'trian'. Did you mean 'train'? Known: select, train."
    """
    names = sorted(known)
    listing = ", ".join(names) if names else "none"
    return f"Unknown {kind} {name!r}.{did_you_mean(name, names)} Known: {listing}.{' ' + advice if advice else ''}"
