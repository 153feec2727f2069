"""Environments as ASGI applications, for servers that are told where to find one: `uvicorn MODULE:household`.

The attribute is the environment's short name, the token that of AGENTGYM_TOKEN. `openenv.yaml` names them so.
"""

from __future__ import annotations

import logging
import os

from starlette.types import ASGIApp

from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.core.task import Split
from agentgym.environments.remote.address import TOKEN_VARIABLE
from agentgym.registry import find_spec
from agentgym.serving.environments.app import Limits, Served, make_app
from agentgym.serving.environments.workshop import Workshop
from agentgym.serving.http import Caller
from agentgym.serving.listening import checked_token


def __getattr__(name: str) -> ASGIApp:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        spec = find_spec(name)
    except UnknownNameError as error:
        raise AttributeError(str(error)) from error
    token = os.environ.get(TOKEN_VARIABLE)
    if token is None:
        raise UsageError(f"Set {TOKEN_VARIABLE} to the token that clients must send.")
    limits = Limits()
    workshop = Workshop(spec, Split.TRAIN, {}, limits.call_s)
    return make_app(
        Served(workshop, limits, Caller(checked_token(token)), logging.getLogger(__name__).warning)
    )
