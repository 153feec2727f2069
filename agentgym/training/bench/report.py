"""The results of a bench as Markdown: what was run, and two tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agentgym.training.bench.compare import Figure, Row
from agentgym.training.bench.plan import Plan


class Column(NamedTuple):
    """A column of a table."""

    heading: str
    field: str
    """Of `Row`."""
    scale: float
    digits: int


TABLES = {
    "Success and speed": (
        Column("held-out success, %", "success", 100, 1),
        Column("mean of the curve, %", "curve_mean", 100, 1),
        Column("tokens to threshold", "tokens", 1, 0),
        Column("seconds to threshold", "seconds", 1, 0),
    ),
    "Stability": (
        Column("KL to the warm start, nats", "kl", 1, 3),
        Column("entropy, nats", "entropy", 1, 3),
        Column("clip share, %", "clip_share", 100, 2),
        Column("updates", "steps", 1, 0),
    ),
}


def as_markdown(plan: Plan, rows: Sequence[Row], threshold: float, versions: Mapping[str, object]) -> str:
    """Return the page."""
    lines = [
        "# Objectives",
        "",
        *_configuration(plan, versions),
        "",
        f"Differences in brackets are to `{plan.labels[0]}`, paired by seed, with 95 % intervals: of held-out",
        "success over seeds and tasks, of the rest over seeds. The threshold is "
        + f"{100 * threshold:.1f} % success on the `select` tasks;",
        "`n of m`: only so many seeds reached it.",
    ]
    for title, columns in TABLES.items():
        headings = ["recipe", *(column.heading for column in columns)]
        rule = "|".join([" --- ", *[" ---: "] * len(columns)])
        lines += ["", f"## {title}", "", f"| {' | '.join(headings)} |", f"|{rule}|"]
        lines += [f"| {' | '.join([row.recipe, *cells(row, columns, len(plan.seeds))])} |" for row in rows]
    return "\n".join([*lines, "", "![Success over sampled tokens](objectives.png)", ""])


def cells(row: Row, columns: Sequence[Column], seeds: int) -> list[str]:
    """Return a row's figures as text, of a bench over `seeds` seeds."""
    return [_cell(getattr(row, column.field), seeds, column.scale, column.digits) for column in columns]


def command(plan: Plan) -> str:
    """Return the command that makes these results."""
    words = [f"agentgym bench objectives --base {plan.base} --recipes {' '.join(plan.recipes)}"]
    words += [f"--seeds {' '.join(map(str, plan.seeds))}"]
    words += [f"--set '{setting}'" for setting in plan.settings]
    words += [f"--warm-start {plan.warm_start}"] if plan.warm_start else []
    words += [f"--teacher {plan.teacher}"] if plan.teacher else []
    return " ".join(words)


def _configuration(plan: Plan, versions: Mapping[str, object]) -> list[str]:
    base = plan.recipe(plan.recipes[0], plan.seeds[0])
    options = ", ".join(f"{key} = {value!r}" for key, value in base.environment.options.items())
    return [
        f"    {command(plan)}",
        "",
        f"- {base.environment.id} ({options or 'no options'}), at most {base.environment.max_turns} turns",
        f"- {base.iterations} iterations of {base.rollout.tasks} tasks x {base.rollout.group_size} rollouts",
        f"- learning rate {base.optimiser.lr:g}; seeds {', '.join(map(str, plan.seeds))}",
        f"- conditions from `{plan.base}`; every run starts from the same weights and plays the same tasks",
        "- " + ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]


def _cell(figure: Figure, seeds: int, scale: float, digits: int) -> str:
    if figure.mean is None:
        return "-"
    text = f"{scale * figure.mean:,.{digits}f}"
    if figure.seeds < seeds:
        text += f", {figure.seeds} of {seeds}"
    if figure.difference is None:
        return text
    text += f" ({scale * figure.difference:+,.{digits}f}"
    if figure.interval is not None:
        low, high = figure.interval
        text += f"; {scale * low:+,.{digits}f} to {scale * high:+,.{digits}f}"
    return text + ")"
