"""A run's figures as other tools show them: curves over iterations, and what its evaluations came to."""

from __future__ import annotations

from agentgym.evaluation.report import Evaluation
from agentgym.store.store import Store


def run_history(store: Store, run_id: str) -> dict[int, dict[str, float]]:
    """Return a run's metrics by iteration."""
    history: dict[int, dict[str, float]] = {}
    for metric in store.metrics(run_id):
        history.setdefault(metric.iteration, {})[metric.name] = metric.value
    return history


def run_summary(store: Store, run_id: str) -> dict[str, float]:
    """Return the success of a run's evaluations with the bounds of its interval, as `NAME/success`,
    `NAME/success_low` and `NAME/success_high`."""
    summary: dict[str, float] = {}
    for row in store.evaluations(run_id):
        evaluation = Evaluation.from_json(row.result_json, row.name)
        if evaluation.scored:
            rate = evaluation.rate()
            bounds = {"success": rate.estimate, "success_low": rate.low, "success_high": rate.high}
            summary |= {f"{row.name}/{name}": value for name, value in bounds.items()}
    return summary
