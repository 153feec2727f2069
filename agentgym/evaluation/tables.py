"""Evaluations and comparisons as tables for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agentgym.evaluation.compare import Comparison, Difference, Verdict
from agentgym.evaluation.report import Evaluation, Rate

_COLOURS = {Verdict.BETTER: "green", Verdict.WORSE: "red", Verdict.CANNOT_TELL: "yellow"}


def evaluation_table(evaluation: Evaluation) -> RenderableType:
    """Return success with 95 % intervals, overall and by part, and what else is known of the episodes."""
    if not evaluation.scored:
        return Text(f"No episode of {evaluation.agent} has a score. {_lost(evaluation)}", style="red")
    table = Table(title=f"{evaluation.agent} on {evaluation.env_id}, {evaluation.split} tasks")
    for heading in ("", "success", "95 % interval", "tasks", "episodes"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_row("all", *_rate(evaluation.rate()), style="bold", end_section=True)
    for name in evaluation.groups:
        table.add_row(name, *_rate(evaluation.rate(group=name)), end_section=name == evaluation.groups[-1])
    for name in evaluation.task_types:
        table.add_row(name, *_rate(evaluation.rate(task_type=name)))
    stops = ", ".join(f"{reason} {count}" for reason, count in evaluation.stop_reasons.items())
    turns = f"turns {evaluation.mean_turns:.1f}, invalid actions {evaluation.invalid_action_rate:.1%}"
    tokens = f"sampled tokens {evaluation.mean_sampled_tokens:.0f}"
    lines = [f"per episode: {turns}, {tokens}; ended: {stops}"]
    k = evaluation.pass_ks[-1]
    if k > 1:
        at_least_one, each = evaluation.pass_rates(k)
        lines.append(f"pass@{k} {at_least_one:.1%}, pass^{k} {each:.1%}")
    if evaluation.lost:
        lines.append(_lost(evaluation))
    return Group(table, *map(Text, lines))


def comparison_table(comparison: Comparison) -> RenderableType:
    """Return the paired differences with 95 % intervals and p-values, and the verdict."""
    table = Table(title=f"{comparison.before} -> {comparison.after}, same tasks and seeds")
    for heading in ("", "difference", "95 % interval", "p", "tasks"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_row("all", *_difference(comparison.difference), style="bold", end_section=True)
    last = list(comparison.groups)[-1:]
    for name, difference in comparison.groups.items():
        table.add_row(name, *_difference(difference), end_section=[name] == last)
    for name, difference in comparison.task_types.items():
        table.add_row(name, *_difference(difference))
    rates = f"{comparison.before_rate.estimate:.1%} before, {comparison.after_rate.estimate:.1%} after; "
    rates += f"{len(comparison.fixed)} tasks fixed, {len(comparison.broken)} broken"
    if comparison.lost_pairs:
        rates += f"; {comparison.lost_pairs} pairs left out for lack of a score"
    verdict = Text(f"verdict: {comparison.verdict}", style=f"bold {_COLOURS[comparison.verdict]}")
    return Group(table, Text(rates), verdict)


def _rate(rate: Rate) -> tuple[str, str, str, str]:
    interval = f"{100 * rate.low:.1f} to {100 * rate.high:.1f}"
    return f"{rate.estimate:.1%}", interval, str(rate.tasks), str(rate.episodes)


def _difference(difference: Difference) -> tuple[str, str, str, str]:
    interval = f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
    p_value = f"{difference.p_value:.3f}" if difference.p_value >= 0.001 else "< 0.001"
    return f"{100 * difference.estimate:+.1f} points", interval, p_value, str(difference.tasks)


def _lost(evaluation: Evaluation) -> str:
    lost = evaluation.lost
    kinds = ", ".join(f"{outcome} {count}" for outcome, count in lost.items())
    return (
        f"{sum(lost.values())} of {len(evaluation.results)} episodes have no score ({kinds}) and are left out"
    )
