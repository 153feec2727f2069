"""The templates, and how values are written in them. Everything is escaped; nothing that is shown is markup."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agentgym.serving.viewer.plain import excerpt, one_line, visible

_NONE = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_TEMPLATES = Path(__file__).parent / "templates"


class Pages:
    """Renders pages."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            visible=lambda value: visible(str(value)),
            excerpt=lambda value: excerpt(str(value)),
            one_line=_one_line,
            figure=figure,
            share=share,
            signed=signed,
            moment=moment,
            duration=duration,
            pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
            part=part,
            decoded=lambda data: bytes(data).decode("utf-8", "replace"),
        )
        self._templates.globals["run_url"] = run_url  # pyright: ignore[reportArgumentType]  # its type is inferred from what is there

    def render(self, template: str, **values: Any) -> str:
        """Return a page as HTML."""
        text = self._templates.get_template(template).render(values)
        return text.encode("utf-8", "replace").decode()


def _one_line(value: object, limit: int = 160) -> str:
    return one_line(str(value), limit)


def run_url(folder: str, run: str, *path: str) -> str:
    """Return the address of a page of a run."""
    return "/" + "/".join(["runs", part(folder), part(run), *map(quote, path)])


def part(name: str) -> str:
    """Return a name as one part of an address."""
    return quote(name, safe="")


def figure(value: float | None) -> str:
    """Return a number with three digits that mean something.

    >>> [figure(value) for value in (0.76562, 1234567.0, 3.2e-8, 12.0, None)]
    ['0.766', '1,234,567', '3.2e-08', '12', '–']
    """
    if value is None or not math.isfinite(value):
        return _NONE
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def share(value: float | None) -> str:
    """Return a share in per cent."""
    return _NONE if value is None or not math.isfinite(value) else f"{value:.1%}"


def signed(value: float | None) -> str:
    """Return a number with its sign.

    >>> signed(0.5), signed(-0.25), signed(0.0)
    ('+0.50', '−0.25', '0')
    """
    if value is None or not math.isfinite(value):
        return _NONE
    return "0" if abs(value) < 5e-4 else f"{value:+.2f}".replace("-", _MINUS)


def moment(created: str) -> str:
    """Return a time in UTC as people read it: `2026-11-25 20:17`."""
    return created[:16].replace("T", " ")


def duration(seconds: float) -> str:
    """Return a time span.

    >>> duration(0.0004), duration(0.25), duration(12), duration(4000)
    ('0.4 ms', '250 ms', '12.0 s', '67 min')
    """
    if seconds < 0.01:
        return f"{1000 * seconds:.1f} ms"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
