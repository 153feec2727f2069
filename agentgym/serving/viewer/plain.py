"""Text of episodes as a page may show it: everything visible, nothing obeyed, nothing endless."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

SHOWN = 20_000
"""Most characters of one text on a page; all of it is one link away."""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


class Excerpt(NamedTuple):
    """The beginning of a text."""

    text: str
    left: int
    """Characters that are not in it."""
    lines: int
    """Of the beginning."""


def visible(text: str) -> str:
    r"""Write what a screen would obey or hide, rather than show, as symbols or code points.

    >>> visible("\x1b[31mred\x00\ud800 \u202egpj.exe")
    '␛[31mred␀⟨U+D800⟩ ⟨U+202E⟩gpj.exe'
    """
    return _HIDDEN.sub(_symbol, text.replace("\r\n", "\n"))


def excerpt(text: str, limit: int = SHOWN) -> Excerpt:
    """Return the visible beginning of a text."""
    start = visible(text[:limit])
    return Excerpt(start, max(0, len(text) - limit), start.count("\n") + 1)


def one_line(text: str, limit: int = 160) -> str:
    """Return the beginning of a text in one line."""
    line = " ".join(visible(text[: 4 * limit]).split())
    return line if len(line) <= limit and len(text) <= 4 * limit else line[:limit] + "…"


def _symbol(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    assert unicodedata.category(match[0]) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return f"⟨U+{code:04X}⟩"
