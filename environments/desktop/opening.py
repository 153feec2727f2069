"""Applications, and what is opened with them."""

from __future__ import annotations

from dataclasses import dataclass

APPS = ("mousepad", "pcmanfm", "xterm", "galculator", "gnumeric", "gpicview")
"""Editor, file manager, terminal, calculator, spreadsheet, image viewer."""


@dataclass(frozen=True, slots=True)
class Opening:
    """An application to open, with files given by paths below HOME."""

    app: str
    files: tuple[str, ...] = ()
