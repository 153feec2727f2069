"""The calendar and the mail of an office."""

from __future__ import annotations

from agentgym.environments.backoffice.domain import Domain
from agentgym.environments.backoffice.office.data import SCHEMA, TODAY, fill
from agentgym.environments.backoffice.office.needs import NEEDS, introduce
from agentgym.environments.backoffice.office.tools import TOOLS

OFFICE = Domain(
    name="office",
    role="You are the assistant of an office, for calendar and mail.",
    general=f"Today is {TODAY}. Look before you act, and change nothing that was not asked for.",
    rules={"spare_seats": ((0, 1, 3), (2, 4))},
    schema=SCHEMA,
    fill=fill,
    tools=TOOLS,
    needs=NEEDS,
    easy_needs=("cancel", "number", "file", "when"),
    easy_tools=("get_event", "cancel_event", "read_mail", "move_mail"),
    introduce=introduce,
)
