"""The page about an evolution: whole by itself, and harmless whatever is in the library."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from agentgym.core.memory import ItemKind, ItemStatus, MemoryItem
from agentgym.evolution.figures import BatchFigures, figures_of
from agentgym.evolution.report.page import render
from agentgym.evolution.settings import EvolveSettings
from agentgym.memory.store.store import MemoryStore
from tests.memory.episodes import episode

NASTY = "<script>alert('x')</script>"


class Page(HTMLParser):
    """The tags and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.addresses = list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [
            value or "" for name, value in attrs if name in ("href", "src", "xlink:href", "action")
        ]


def test_the_page_needs_nothing_from_anywhere_and_shows_text_as_text(tmp_path: Path) -> None:
    with MemoryStore(tmp_path / "memory.db") as library:
        batches: list[BatchFigures] = []
        played = library.take_snapshot([])
        for number, status in enumerate((ItemStatus.SHADOW, ItemStatus.ACTIVE), 1):
            item = MemoryItem(
                ItemKind.SKILL, f"skill {number} {NASTY}", NASTY, NASTY, files={"a.py": NASTY.encode()}
            )
            version = library.put(item)
            library.set_status(version, status, reason=NASTY)
            active = [version] if status is ItemStatus.ACTIVE else []
            shots = (played, library.take_snapshot([version]), library.take_snapshot(active))
            episodes = [episode(f"e{number}-{place}", shown=(version,)) for place in range(3)]
            batches.append(
                figures_of(number, episodes, [version], shots, batches, library, library.entries())
            )
        text = render(EvolveSettings(env_id=f"test/{NASTY}-v0", options={"o": NASTY}), batches, library)
    page = Page(text)
    assert page.tags.count("svg") == 4
    assert not {"script", "iframe", "link", "img", "object"} & set(page.tags)
    assert all(address.startswith("#") for address in page.addresses), page.addresses
    assert not re.search(r"url\((?!#)|@import", text)
    assert text.count("&lt;script&gt;") >= 8
    assert [each["success"] for each in batches] == [1.0, 1.0]
    assert [each["used"] for each in batches] == [3, 3]
    assert [each["egl"] for each in batches] == [1 / 3, 1 / 3]
    assert batches[1]["sizes"] == {"skill": {"active": 1, "shadow": 1}}


def test_before_the_first_batch_there_is_a_page_too(tmp_path: Path) -> None:
    with MemoryStore(tmp_path / "memory.db") as library:
        assert Page(render(EvolveSettings(env_id="test/World-v0"), [], library)).tags.count("svg") == 4
