"""Evaluations and comparisons as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agentgym.evaluation.compare import Comparison, Difference, Verdict
from agentgym.evaluation.rates import Figure, Rate
from agentgym.evaluation.report import Evaluation

_COLOURS = {Verdict.BETTER: "green", Verdict.WORSE: "red", Verdict.CANNOT_TELL: "yellow"}
_LISTED = 8
"""Most tasks that a list names."""


def evaluation_table(evaluation: Evaluation) -> RenderableType:
    """Return success with 95 % intervals, overall and by part, and what else is known of the episodes."""
    if not evaluation.scored:
        text = plain(f"No episode of {evaluation.agent} has a score. {_lost(evaluation)}")
        text.stylize("red")
        return text
    shown: list[RenderableType] = [_success(evaluation)]
    if len(evaluation.pass_ks) > 1:
        shown.append(_passes(evaluation))
    shown.append(_stops(evaluation))
    return Group(*shown, *map(Text, _lines(evaluation)))


def comparison_table(comparison: Comparison, names: tuple[str, str] | None = None) -> RenderableType:
    """Return the paired differences with 95 % intervals and p-values, and the verdict.

    The two are called by `names`, or else by their agents.
    """
    before, after = names or (comparison.before, comparison.after)
    table = _table(
        f"{before} -> {after}, same tasks and seeds",
        ("difference", "95 % interval", "p", "tasks"),
    )
    table.add_row("all", *_difference(comparison.difference), style="bold", end_section=True)
    for parts in (comparison.groups, comparison.task_types, comparison.difficulties):
        _add_parts(table, {name: _difference(difference) for name, difference in parts.items()})
    rates = f"{comparison.before_rate.estimate:.1%} before, {comparison.after_rate.estimate:.1%} after; "
    rates += f"{len(comparison.fixed)} tasks fixed, {len(comparison.broken)} broken"
    if comparison.lost_pairs:
        rates += f"; {comparison.lost_pairs} pairs left out for lack of a score"
    if comparison.unpaired:
        rates += f"; {comparison.unpaired} episodes left out that the other side did not play"
    low, high = comparison.difference.bootstrap
    lines = [rates, f"by resampling of tasks: {100 * low:+.1f} to {100 * high:+.1f} points"]
    lines += [line for line in (_resolution(comparison),) if line]
    verdict = Text(f"verdict: {comparison.verdict}", style=f"bold {_COLOURS[comparison.verdict]}")
    return Group(table, *map(Text, lines), verdict)


def changed_tasks(comparison: Comparison) -> RenderableType:
    """Return the names of the tasks that were fixed and broken."""
    named = {"fixed": comparison.fixed, "broken": comparison.broken}
    return Group(*(plain(f"{kind}: {_names(tasks)}") for kind, tasks in named.items() if tasks))


def _success(evaluation: Evaluation) -> Table:
    table = _table(
        f"{evaluation.agent} on {evaluation.env_id}, {evaluation.split} tasks",
        ("success", "95 % interval", "tasks", "episodes"),
    )
    last = not evaluation.lost
    table.add_row("all", *_rate(evaluation.rate()), style="bold", end_section=last)
    if evaluation.lost:
        table.add_row("faults as unsolved", *_rate(evaluation.rate(of_all=True)), end_section=True)
    rates: Sequence[Mapping[str, Rate]] = (
        {name: evaluation.rate(group=name) for name in evaluation.groups},
        {name: evaluation.rate(task_type=name) for name in evaluation.task_types},
        {name: evaluation.rate(difficulty=name) for name in evaluation.difficulties},
    )
    for parts in rates:
        _add_parts(table, {name: _rate(rate) for name, rate in parts.items()})
    return table


def _passes(evaluation: Evaluation) -> Table:
    table = _table("", ("pass@k: one of k", "pass^k: each of k", "avg@k", "tasks"))
    for k in evaluation.pass_ks:
        rates = evaluation.pass_rates(k)
        cells = [_figure(found) for found in (rates.pass_at_k, rates.pass_hat_k, rates.avg_at_k)]
        table.add_row(f"k = {k}", *cells, str(rates.avg_at_k.tasks))
    return table


def _stops(evaluation: Evaluation) -> Table:
    table = _table("", ("episodes", "outcomes"))
    for reason, outcomes in evaluation.stops.items():
        told = ", ".join(f"{outcome} {count}" for outcome, count in outcomes.items())
        table.add_row(reason, str(sum(outcomes.values())), told)
    return table


def _lines(evaluation: Evaluation) -> Iterator[str]:
    turns = f"turns {evaluation.mean_turns:.1f}, invalid actions {evaluation.invalid_action_rate:.1%}"
    score = f"score {evaluation.mean_score:.2f}"
    yield f"per episode: {score}, {turns}, sampled tokens {evaluation.mean_sampled_tokens:.0f}"
    if (timing := evaluation.timing) is not None:
        yield (
            f"time: {duration(timing.episode_s)} an episode, {duration(timing.decision_s)} a decision (95 % within "
            f"{duration(timing.slow_decision_s)}), {duration(timing.step_s)} a step of the environment"
        )
    if evaluation.cost is not None:
        yield f"cost: {evaluation.cost:.4f}, {evaluation.cost / len(evaluation.results):.5f} an episode"
    if evaluation.lost:
        yield _lost(evaluation)
    if evaluation.retried:
        yield f"{evaluation.retried} attempts failed by a fault of the infrastructure and were made again"
    if evaluation.missing:
        yield f"{evaluation.missing} of {evaluation.planned} episodes were not played"


def _resolution(comparison: Comparison) -> str:
    """Say what so many tasks can resolve, and how many would tell."""
    if comparison.verdict is not Verdict.CANNOT_TELL or comparison.detectable is None:
        return ""
    found = f"{comparison.difference.tasks} tasks like these resolve {100 * comparison.detectable:.1f} points"
    if comparison.tasks_to_tell is not None:
        return f"{found}; a difference as found would be told by {comparison.tasks_to_tell:,} tasks"
    return f"{found}; no difference was found"


def duration(seconds: float) -> str:
    """Return a time with two digits or more, in the unit that suits it.

    >>> duration(125.0), duration(0.0314), duration(2.6e-05)
    ('125 s', '31 ms', '26 µs')
    """
    unit, size = next(((u, s) for u, s in (("s", 1.0), ("ms", 1e-3)) if seconds >= s), ("µs", 1e-6))
    amount = seconds / size
    return f"{amount:,.0f} {unit}" if amount >= 9.95 else f"{amount:.1f} {unit}"


def plain(text: str) -> Text:
    r"""Return a text as itself: no markup, and no control characters, which a terminal would obey.

    >>> plain("[b]a\x1b[31m").plain
    '[b]a\\x1b[31m'
    """
    return Text("".join(char if char.isprintable() else repr(char)[1:-1] for char in text))


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=plain(title) if title else None)
    table.add_column("")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "outcomes" else "right")
    return table


def _add_parts(table: Table, rows: Mapping[str, Sequence[str]]) -> None:
    for place, (name, cells) in enumerate(rows.items(), 1):
        table.add_row(plain(name), *cells, end_section=place == len(rows))


def _rate(rate: Rate) -> tuple[str, str, str, str]:
    interval = f"{100 * rate.low:.1f} to {100 * rate.high:.1f}"
    return f"{rate.estimate:.1%}", interval, str(rate.tasks), str(rate.episodes)


def _figure(figure: Figure) -> str:
    return f"{figure.estimate:.1%} ({100 * figure.low:.0f} to {100 * figure.high:.0f})"


def _difference(difference: Difference) -> tuple[str, str, str, str]:
    interval = f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
    p_value = f"{difference.p_value:.3f}" if difference.p_value >= 0.001 else "< 0.001"
    return f"{100 * difference.estimate:+.1f} points", interval, p_value, str(difference.tasks)


def _names(tasks: Sequence[str]) -> str:
    more = f" and {len(tasks) - _LISTED} more" if len(tasks) > _LISTED else ""
    return f"{len(tasks)} ({', '.join(tasks[:_LISTED])}{more})"


def _lost(evaluation: Evaluation) -> str:
    lost = evaluation.lost
    kinds = ", ".join(f"{outcome} {count}" for outcome, count in lost.items())
    return (
        f"{sum(lost.values())} of {len(evaluation.results)} episodes have no score ({kinds}) and are left out"
    )
