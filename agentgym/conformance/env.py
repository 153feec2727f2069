"""`check_env`: does an environment keep the contract of `agentgym.core.env`?

    report = check_env("household")
    assert report.passed, report

Each check has an id, and a message that says what to fix where it fails. A check that raises something
unforeseen has failed too: the environment broke in ordinary use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from agentgym.conformance import contract, resources, semantic, state_keys, suite
from agentgym.conformance.report import CheckResult, Report, Status
from agentgym.conformance.subject import CheckFailed, CheckSkipped, Limits, Subject
from agentgym.core.env import EnvSpec
from agentgym.core.errors import UnknownNameError
from agentgym.registry import find_spec

CHECKS: dict[str, Callable[[Subject], str]] = {
    "contract.gymnasium": contract.check_gymnasium,
    "contract.info": contract.check_info,
    "contract.step_errors": contract.check_step_errors,
    "contract.tasks": contract.check_tasks,
    "contract.reward": contract.check_reward,
    "suite.splits": suite.check_splits,
    "semantic.determinism": semantic.check_determinism,
    "semantic.replay": semantic.check_replay,
    "semantic.snapshot": semantic.check_snapshot,
    "semantic.state_key_false_splits": state_keys.check_false_splits,
    "semantic.state_key_collisions": state_keys.check_collisions,
    "semantic.oracle": semantic.check_oracle,
    "semantic.floor": semantic.check_floor,
    "resources.latency": resources.check_latency,
    "resources.leaks": resources.check_leaks,
}
"""Every check by id, in the order in which they run."""


def check_env(
    environment: str | EnvSpec,
    *,
    options: Mapping[str, Any] | None = None,
    only: Sequence[str] | None = None,
    seed: int = 0,
    limits: Limits | None = None,
    on_result: Callable[[CheckResult], None] | None = None,
) -> Report:
    """Check an environment, given by name or as a spec, and return what was found.

    `options` go to the environment's `make`; `only` are ids of checks, or beginnings of ids
    such as `semantic`; `on_result` is called with each result as it comes. Raises `UnknownNameError` for an
    unknown environment or check.
    """
    spec = find_spec(environment) if isinstance(environment, str) else environment
    subject = Subject(spec, dict(options or {}), seed, limits or Limits())
    results: list[CheckResult] = []
    for check_id in _chosen(only):
        result = _run(check_id, subject)
        results.append(result)
        if on_result is not None:
            on_result(result)
    return Report(spec.id, tuple(results))


def _chosen(only: Sequence[str] | None) -> list[str]:
    if only is None:
        return list(CHECKS)
    for name in only:
        if not any(_is_meant(name, check_id) for check_id in CHECKS):
            raise UnknownNameError("check", name, CHECKS)
    return [check_id for check_id in CHECKS if any(_is_meant(name, check_id) for name in only)]


def _is_meant(name: str, check_id: str) -> bool:
    return check_id == name or check_id.startswith(f"{name}.")


def _run(check_id: str, subject: Subject) -> CheckResult:
    started = perf_counter()
    try:
        status, message = Status.PASS, CHECKS[check_id](subject)
    except CheckSkipped as skipped:
        status, message = Status.SKIP, str(skipped)
    except CheckFailed as failed:
        status, message = Status.FAIL, str(failed)
    except Exception as error:  # noqa: BLE001 - the environment broke in ordinary use: that is the finding
        status, message = Status.FAIL, f"raised {type(error).__name__}: {error}"
    return CheckResult(check_id, status, message, perf_counter() - started)
