"""A helpdesk, where some things can be done by the user alone."""

from __future__ import annotations

from agentgym.environments.backoffice.domain import Domain
from agentgym.environments.backoffice.helpdesk.data import SCHEMA, TODAY, fill
from agentgym.environments.backoffice.helpdesk.needs import NEEDS, introduce
from agentgym.environments.backoffice.helpdesk.tools import TOOLS

_SETTINGS = {
    "most_failures": (4, 6, 8),
    "spare_seats": (0, 2, 5),
    "most_days": (1000, 1500, 2000),
}

HELPDESK = Domain(
    name="helpdesk",
    role="You work at the helpdesk of a company.",
    general=f"Today is {TODAY}. Look before you act, and change nothing that was not asked for.",
    rules={rule: (figures, figures) for rule, figures in _SETTINGS.items()},
    schema=SCHEMA,
    fill=fill,
    tools=TOOLS,
    needs=NEEDS,
    easy_needs=("bought", "close", "seats", "unlock"),
    easy_tools=(
        "get_account",
        "unlock_account",
        "get_device",
        "get_ticket",
        "close_ticket",
        "get_licence",
        "open_ticket",
    ),
    introduce=introduce,
)
