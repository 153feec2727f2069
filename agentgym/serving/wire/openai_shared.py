"""What OpenAI's two APIs have in common: refusals, tools, and fields that mean the same in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentgym.core.tool import ToolSpec
from agentgym.serving.problems import Refusal
from agentgym.serving.wire.fields import Unsupported

HINTS = frozenset(
    {
        "metadata",
        "moderation",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
"""Fields of both APIs that change nothing in the answer."""

UNSUPPORTED = {
    "parallel_tool_calls": Unsupported(
        (True,), "the policy may make several calls in one answer: handle them all"
    ),
    "top_logprobs": Unsupported((0,), "only the sampled tokens have log-probabilities here"),
}

_KINDS = {401: "authentication_error", 429: "rate_limit_error"}


def problem(refusal: Refusal) -> dict[str, Any]:
    """Return the body of a refusal."""
    kind = _KINDS.get(refusal.status, "invalid_request_error" if refusal.status < 500 else "server_error")
    error = {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code}
    return {"error": error}


def offered(tools: Sequence[ToolSpec], choice: Any) -> tuple[ToolSpec, ...]:
    """Return the tools that the policy is shown under a `tool_choice`; raises `Refusal` for one that compels."""
    if choice in (None, "auto"):
        return tuple(tools)
    if choice == "none":
        return ()
    raise Refusal(
        400,
        f"tool_choice: got {choice!r:.80}; the policy chooses for itself, so it takes 'auto' or 'none'.",
        param="tool_choice",
        code="unsupported_value",
    )
