"""What people want of the helpdesk, and what the policy makes of it."""

from __future__ import annotations

import random
from datetime import date

from agentgym.core.tool import ToolCall
from agentgym.environments.backoffice.desk import Desk, Row
from agentgym.environments.backoffice.domain import Need, Rules, Slots, Stage, call, pick
from agentgym.environments.backoffice.helpdesk.data import TODAY
from agentgym.environments.backoffice.helpdesk.tools import code_of


def introduce(desk: Desk, slots: Slots) -> tuple[str, tuple[ToolCall, ...]]:
    """Say who asks."""
    person = desk.one("staff", slots["who"])
    return f"I am {person['name']}, {person['email']}.", (call("find_employee", email=person["email"]),)


def _own(desk: Desk, rng: random.Random, who: str, table: str, name: str, where: str = "1") -> Row | None:
    row = pick(desk, rng, f"SELECT * FROM {table} WHERE {where} ORDER BY id", "owner", who)
    return row and {"who": row["owner"], name: row["id"]}


def _locked(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    return _own(desk, rng, who, "accounts", "account", "state = 'locked'")


def _account(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    return _own(desk, rng, who, "accounts", "account", "state = 'active'")


def _device(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    return _own(desk, rng, who, "devices", "device")


def _unlock(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    account = desk.one("accounts", slots["account"])
    look = call("get_account", account_id=account["id"])
    says = f"My account {account['id']} is locked. Please unlock it, or tell me the number of a ticket."
    if account["failures"] <= rules["most_failures"]:
        return (Stage(says, (look, call("unlock_account", account_id=account["id"]))),)
    ticket = call("open_ticket", person_id=slots["who"], topic="security")
    return (Stage(says, (look, ticket), {"the ticket's number": desk.next_id("tickets", "T")}),)


def _bought(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    device = desk.one("devices", slots["device"])
    look = call("get_device", device_id=device["id"])
    return (Stage(f"When was device {device['id']} bought?", (look,), {"the day": device["bought"]}),)


def _draw_ticket(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    return _own(desk, rng, who, "tickets", "ticket", "status = 'open'")


def _close(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    ticket = desk.one("tickets", slots["ticket"])
    look = call("get_ticket", ticket_id=ticket["id"])
    says = f"Ticket {ticket['id']} is done with, you can close it."
    if ticket["topic"] == "security":
        return (Stage(says, (look,)),)
    return (Stage(says, (look, call("close_ticket", ticket_id=ticket["id"]))),)


def _draw_licence(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    about = _device(desk, rng, who)
    return about and {**about, "licence": rng.choice(desk.rows("SELECT id FROM licences ORDER BY id"))["id"]}


def _seats(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    licence = desk.one("licences", slots["licence"])
    look = call("get_licence", licence_id=licence["id"])
    says = f"How many seats has licence {licence['id']} altogether?"
    return (Stage(says, (look,), {"the number of seats": str(licence["seats"])}),)


def _install(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    licence, device = desk.one("licences", slots["licence"]), slots["device"]
    look = (
        call("list_licences"),
        call("get_licence", licence_id=licence["id"]),
        call("get_device", device_id=device),
    )
    says = f"I need the {licence['product']} on my device {device}. How many free seats are there after that?"
    left = licence["seats"] - licence["used"] - 1
    if left < rules["spare_seats"]:
        return (Stage(says, look),)
    calls = (
        call("install_software", device_id=device, licence_id=licence["id"]),
        call("ask_user", action="restart_device", target_id=device),
    )
    return (Stage(says, (*look, *calls), {"the number of free seats": str(left)}),)


def _password(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    account = slots["account"]
    calls = (
        call("get_account", account_id=account),
        call("send_prompt", account_id=account),
        call("ask_user", action="approve_prompt", target_id=account),
        call("reset_password", account_id=account),
    )
    says = f"I have forgotten the password of my account {account}. What is the code for a new one?"
    return (Stage(says, calls, {"the code": code_of(account)}),)


def _replace(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    device = desk.one("devices", slots["device"])
    look = call("get_device", device_id=device["id"])
    says = f"I would like a new {device['model']} in place of device {device['id']}. Which number has the purchase?"
    days = (TODAY - date.fromisoformat(device["bought"])).days
    if device["status"] != "broken" and days <= rules["most_days"]:
        return (Stage(says, (look,)),)
    order = call("order_device", person_id=slots["who"], model=device["model"])
    return (Stage(says, (look, order), {"the number": desk.next_id("purchases", "P")}),)


NEEDS = (
    Need(
        "unlock",
        "Unlock accounts with up to {most_failures} failures; for one with more open a ticket about security in its "
        "owner's name instead.",
        _locked,
        _unlock,
    ),
    Need("bought", "Tell people about their devices.", _device, _bought),
    Need("close", "Close tickets as asked, but none about security.", _draw_ticket, _close),
    Need("seats", "Tell anybody about licences.", _draw_licence, _seats),
    Need(
        "install",
        "Install a product only where {spare_seats} of its seats are free afterwards, and have the device restarted.",
        _draw_licence,
        _install,
    ),
    Need("password", "A new password needs a prompt that its owner has approved.", _account, _password),
    Need(
        "replace",
        "Order new devices for broken ones and those bought more than {most_days} days ago; say no to others.",
        _device,
        _replace,
    ),
)
