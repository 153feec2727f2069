"""The expert: scripts for some of the pages, each of which looks at the page as it is and says the next action."""

from __future__ import annotations

from agentgym.environments.miniwob.experts import choosing, looking, pointing, reading, writing
from agentgym.environments.miniwob.experts.view import Stuck, View

_EXPERTS = {
    **choosing.EXPERTS,
    **looking.EXPERTS,
    **pointing.EXPERTS,
    **reading.EXPERTS,
    **writing.EXPERTS,
}


def known_pages() -> list[str]:
    """Return the names of the pages that there is an expert for."""
    return sorted(_EXPERTS)


def next_action(page: str, view: View) -> str | None:
    """Return the next action on a page; None where there is no expert, or it does not know what to do."""
    expert = _EXPERTS.get(page)
    try:
        return expert(view) if expert else None
    except Stuck:
        return None
