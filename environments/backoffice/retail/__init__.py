"""The order desk of a shop."""

from __future__ import annotations

from agentgym.environments.backoffice.domain import Domain
from agentgym.environments.backoffice.retail.data import SCHEMA, TODAY, fill
from agentgym.environments.backoffice.retail.needs import NEEDS, introduce
from agentgym.environments.backoffice.retail.tools import TOOLS

RETAIL = Domain(
    name="retail",
    role="You work at the order desk of a shop.",
    general=f"Today is {TODAY}. Look before you act, change nothing that was not asked for, and hand over to a person "
    "(open_ticket) only what your tools cannot do and the policy does not forbid.",
    rules={
        "return_days": ((14, 30, 45), (21, 60)),
        "restock_percent": ((10, 15, 20), (12, 25)),
        "late_days": ((5, 7, 9), (4, 8)),
        "late_percent": ((10, 20), (15,)),
    },
    schema=SCHEMA,
    fill=fill,
    tools=TOOLS,
    needs=NEEDS,
    easy_needs=("cancel", "total", "reorder"),
    easy_tools=("get_order", "cancel_order", "place_order"),
    introduce=introduce,
)
