"""What went wrong in a session, in OpenEnv's words."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from agentgym.core.errors import AgentGymError, EnvironmentFault, UsageError
from agentgym.environments.remote.connection import KINDS
from agentgym.environments.remote.wire import dumps
from agentgym.serving.environments.answers import FactoryFault


class Code(StrEnum):
    """OpenEnv's error codes."""

    INVALID_JSON = "INVALID_JSON"
    UNKNOWN_TYPE = "UNKNOWN_TYPE"
    VALIDATION_ERROR = "VALIDATION_ERROR"
    EXECUTION_ERROR = "EXECUTION_ERROR"
    CAPACITY_REACHED = "CAPACITY_REACHED"
    FACTORY_ERROR = "FACTORY_ERROR"
    SESSION_ERROR = "SESSION_ERROR"


class Misfit(UsageError):
    """A message that is not carried out."""

    def __init__(self, code: Code, message: str, **more: Any) -> None:
        self.code = code
        self.more = more
        """Further fields of what the client is told."""
        super().__init__(message)


def problem_of(error: Exception) -> dict[str, Any]:
    """Return the data of the error message that tells of `error`.

    `kind` names the error among those that a client of ours raises as what they are; whatever an environment raises
    otherwise is an `EnvironmentFault` of its own making.
    """
    match error:
        case Misfit():
            ends = error.code in (Code.CAPACITY_REACHED, Code.SESSION_ERROR)
            kind = "EnvironmentFault" if ends else "UsageError"  # of the server's making, or of the client's
            return {"message": str(error), "code": error.code, "kind": kind, **error.more}
        case ValidationError():
            errors = error.errors(include_url=False, include_context=False, include_input=False)
            wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in errors)
            more = {"kind": "UsageError", "errors": errors}
            return {"message": f"Invalid message: {wrong}.", "code": Code.VALIDATION_ERROR, **more}
        case FactoryFault():
            return {"message": str(error), "code": Code.FACTORY_ERROR, "kind": "EnvironmentFault"}
        case AgentGymError():
            kind = next(
                (one.__name__ for one in type(error).__mro__ if one.__name__ in KINDS), "EnvironmentFault"
            )
            return {"message": str(error), "code": Code.EXECUTION_ERROR, "kind": kind}
        case _:
            fault = EnvironmentFault(f"The environment raised {error!r}.")
            return {"message": str(fault), "code": Code.EXECUTION_ERROR, "kind": "EnvironmentFault"}


def error_message(error: Exception) -> str:
    """Return the error message that tells of `error`."""
    return dumps({"type": "error", "data": problem_of(error)})
