"""ATIF-v1.7, the Agent Trajectory Interchange Format, as models that refuse what it does not have.

A trajectory is one JSON document. Unknown keys are refused; step ids count from 1; what only an agent has is refused on
other steps; a step without a call of a model has no metrics; a result names a call of its own step.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

VERSION = "ATIF-v1.7"

_AGENTS_ONLY = ("model_name", "reasoning_content", "tool_calls", "metrics")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")


class AtifToolCall(_Strict):
    """A call of a tool."""

    tool_call_id: str
    function_name: str
    arguments: dict[str, Any]
    extra: dict[str, Any] | None = None


class AtifResult(_Strict):
    """What came back from the environment; `source_call_id` names the call, where there was one."""

    source_call_id: str | None = None
    content: str | None = None
    extra: dict[str, Any] | None = None


class AtifObservation(_Strict):
    """The results of a step."""

    results: list[AtifResult]


class AtifMetrics(_Strict):
    """Tokens and their log-probabilities in nats."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None
    prompt_token_ids: list[int] | None = None
    """The whole context."""
    completion_token_ids: list[int] | None = None
    logprobs: list[float] | None = None
    extra: dict[str, Any] | None = None


class AtifStep(_Strict):
    """One message: of the system, of the user (here: the environment), or of the agent."""

    step_id: int = Field(ge=1)
    timestamp: str | None = None
    source: Literal["system", "user", "agent"]
    model_name: str | None = None
    message: str
    reasoning_content: str | None = None
    tool_calls: list[AtifToolCall] | None = None
    observation: AtifObservation | None = None
    metrics: AtifMetrics | None = None
    is_copied_context: bool | None = None
    llm_call_count: int | None = Field(default=None, ge=0)
    extra: dict[str, Any] | None = None

    @field_validator("timestamp")
    @classmethod
    def _iso_8601(cls, value: str | None) -> str | None:
        if value is not None:
            datetime.fromisoformat(value)
        return value

    @model_validator(mode="after")
    def _fields_fit_the_source(self) -> Self:
        wrong = [name for name in _AGENTS_ONLY if getattr(self, name) is not None]
        if wrong and self.source != "agent":
            raise ValueError(
                f"{wrong[0]} belongs to steps of the agent, and this is one of the {self.source}"
            )
        if self.llm_call_count == 0 and (self.metrics or self.reasoning_content):
            raise ValueError("a step without a call of a model has neither metrics nor reasoning")
        return self

    @model_validator(mode="after")
    def _results_name_calls_of_the_step(self) -> Self:
        calls = {call.tool_call_id for call in self.tool_calls or ()}
        for result in self.observation.results if self.observation else ():
            if result.source_call_id is not None and result.source_call_id not in calls:
                raise ValueError(
                    f"a result names the call {result.source_call_id!r}, which the step did not make"
                )
        return self


class AtifAgent(_Strict):
    """Who acted."""

    name: str
    version: str
    model_name: str | None = None
    tool_definitions: list[dict[str, Any]] | None = None
    extra: dict[str, Any] | None = None


class AtifFinalMetrics(_Strict):
    """Sums over the trajectory."""

    total_prompt_tokens: int | None = None
    total_completion_tokens: int | None = None
    total_cached_tokens: int | None = None
    total_cost_usd: float | None = None
    total_steps: int | None = Field(default=None, ge=0)
    extra: dict[str, Any] | None = None


class AtifTrajectory(_Strict):
    """A trajectory as it stands in a file."""

    schema_version: Literal["ATIF-v1.7"] = VERSION
    session_id: str | None = None
    trajectory_id: str | None = None
    agent: AtifAgent
    steps: list[AtifStep] = Field(min_length=1)
    notes: str | None = None
    final_metrics: AtifFinalMetrics | None = None
    continued_trajectory_ref: str | None = None
    extra: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _steps_count_from_one(self) -> Self:
        found = [step.step_id for step in self.steps]
        if found != list(range(1, len(found) + 1)):
            raise ValueError(f"step ids count from 1 without a gap, got {found[:10]}")
        return self
