"""What forms ask of what is typed in them."""

from __future__ import annotations

import re
from datetime import date

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_NUMBER = re.compile(r"[+\d][\d -]{2,19}")


def time_of_day(text: str) -> str:
    """A time such as 07:30."""
    return "" if _TIME.fullmatch(text) else "A time looks like 07:30"


def day(text: str) -> str:
    """A date such as 2026-05-14."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return "A date looks like 2026-05-14"
    return "" if len(text) == 10 else "A date looks like 2026-05-14"


def telephone(text: str) -> str:
    """A telephone number."""
    return "" if _NUMBER.fullmatch(text) else "A telephone number has digits"


def email(text: str) -> str:
    """An address such as ana@mail.example."""
    return "" if re.fullmatch(r"[^@\s]+@[^@\s]+", text) else "An email address has an @"


def minutes(text: str) -> str:
    """A whole number of minutes."""
    return "" if re.fullmatch(r"[1-9]\d{0,2}", text) else "Minutes are a number such as 15"
