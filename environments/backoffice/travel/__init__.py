"""The desk of a travel agency."""

from __future__ import annotations

from agentgym.environments.backoffice.domain import Domain
from agentgym.environments.backoffice.travel.data import SCHEMA, TODAY, fill
from agentgym.environments.backoffice.travel.needs import NEEDS, introduce
from agentgym.environments.backoffice.travel.tools import TOOLS

TRAVEL = Domain(
    name="travel",
    role="You work at the desk of a travel agency.",
    general=f"Today is {TODAY}. Look before you act, and change nothing that was not asked for.",
    rules={
        "bag_fee": ((25, 30, 40), (35, 55)),
        "change_fee": ((20, 50, 75), (35, 60)),
        "delay_minutes": ((60, 120, 180), (90, 140)),
        "voucher": ((50, 100), (80,)),
    },
    schema=SCHEMA,
    fill=fill,
    tools=TOOLS,
    needs=NEEDS,
    easy_needs=("cancel", "price", "departure", "book"),
    easy_tools=("get_booking", "get_flight", "cancel_booking", "book_flight"),
    introduce=introduce,
)
