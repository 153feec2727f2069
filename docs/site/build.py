"""How the site is made: what MkDocs and Griffe are told besides `mkdocs.yml`."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import griffe
from mkdocs.plugins import event_priority

ROOT = Path(__file__).parents[2]
LINKED = ("environments", "agents", "memory", "sandboxes")
"""Folders without an `__init__.py`: they are read by Python as packages, but not by Griffe."""

LISTED = {"Results": "results", "Decisions": "decisions"}
"""Folders of pages that are all in the navigation, by their titles there."""

_copies: list[tempfile.TemporaryDirectory[str]] = []


@event_priority(100)  # before mkdocstrings reads the same settings
def on_config(config: Any) -> Any:
    """Put what is written page by page into the navigation; have a copy of the package read, with an `__init__.py`
    in every folder."""
    for title, folder in LISTED.items():
        pages = sorted(
            path.name for path in (ROOT / "docs" / folder).glob("*.md") if path.name != "README.md"
        )
        first = [f"{folder}/README.md"] if (ROOT / "docs" / folder / "README.md").exists() else []
        config.nav.append({title: [*first, *(f"{folder}/{name}" for name in pages)]})
    _copies.append(tempfile.TemporaryDirectory(prefix="agentgym-docs-"))
    package = Path(_copies[-1].name) / "agentgym"
    shutil.copytree(
        ROOT / "agentgym",
        package,
        ignore=lambda _, names: [name for name in names if "." in name and not name.endswith(".py")],
    )
    for name in LINKED:
        summary = (ROOT / name / "README.md").read_text("utf-8").split("\n\n")[1]
        (package / name / "__init__.py").write_text(f'"""{summary}"""\n', "utf-8")
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [str(package.parent)]
    return config


def on_post_build(**_: Any) -> None:
    """Remove the copy."""
    while _copies:
        _copies.pop().cleanup()


on_build_error = on_post_build


class Doctests(griffe.Extension):
    """Shows the examples in docstrings as code: Markdown would take `>>>` for quotations in quotations."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put fences around the examples of an object."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(
                r"^>>> .*?(?=\n\n|\Z)",
                r"```python\n\g<0>\n```",
                obj.docstring.value,
                flags=re.DOTALL | re.MULTILINE,
            )
