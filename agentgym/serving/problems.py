"""What the gateway tells a client that it cannot serve."""

from __future__ import annotations

from agentgym.core.errors import UsageError


class Refusal(UsageError):
    """A request that is not carried out; `status` is the HTTP status, `code` and `param` are OpenAI's."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        self.status = status
        self.code = code
        self.param = param
        super().__init__(message)

    @property
    def message(self) -> str:
        """What is wrong and what to do next."""
        return str(self)


def conflict(message: str) -> Refusal:
    """Return the refusal of what does not fit the state the rollout is in."""
    return Refusal(409, message, code="rollout_conflict")
