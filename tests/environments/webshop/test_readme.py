"""The README shows what really happens."""

from __future__ import annotations

from agentgym.environments import webshop
from agentgym.environments.webshop.catalogue import PRODUCTS
from agentgym.environments.webshop.tasks import DIFFICULTIES
from agentgym.environments.webshop.vocabulary import CATEGORIES
from tests.environments.readmes import assert_code_runs, assert_transcript_happens, readme_of

README = readme_of(webshop)


def test_the_code_runs() -> None:
    assert_code_runs(README)


def test_the_transcript_is_what_happens() -> None:
    assert_transcript_happens("webshop", README)


def test_the_figures_hold() -> None:
    assert f"{PRODUCTS:,} products of {len(CATEGORIES)} kinds" in README
    assert all(
        f"| `{difficulty}` | {asked.attributes} attribute" in README
        for difficulty, asked in DIFFICULTIES.items()
    )
