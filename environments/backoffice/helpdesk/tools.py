"""What the helpdesk can do, and what it can ask of people, who have their devices in their own hands."""

from __future__ import annotations

from agentgym.environments.backoffice.desk import Desk, Refused, Row
from agentgym.environments.backoffice.helpdesk.data import MODELS
from agentgym.environments.backoffice.toolbox import TEXT, Tool, one_of, tool


@tool(email=TEXT)
def find_employee(desk: Desk, email: str) -> Row:
    """Find somebody by mail address."""
    found = desk.rows("SELECT * FROM staff WHERE email = ?", email.strip().lower())
    if not found:
        raise Refused(f"Nobody has the mail address {email!r}. Addresses look like ana.costa@mail.test.")
    return found[0]


@tool(person_id=TEXT)
def get_employee(desk: Desk, person_id: str) -> Row:
    """Show a person."""
    return desk.one("staff", person_id)


@tool(person_id=TEXT)
def list_devices(desk: Desk, person_id: str) -> list[Row]:
    """List a person's devices."""
    desk.one("staff", person_id)
    return desk.rows("SELECT id, model, status FROM devices WHERE owner = ? ORDER BY id", person_id)


@tool(device_id=TEXT)
def get_device(desk: Desk, device_id: str) -> Row:
    """Show a device."""
    return desk.one("devices", device_id)


@tool(person_id=TEXT)
def list_accounts(desk: Desk, person_id: str) -> list[Row]:
    """List a person's accounts."""
    desk.one("staff", person_id)
    return desk.rows("SELECT id, system, state FROM accounts WHERE owner = ? ORDER BY id", person_id)


@tool(account_id=TEXT)
def get_account(desk: Desk, account_id: str) -> Row:
    """Show an account."""
    account = desk.one("accounts", account_id)
    del account["code"]
    return account


@tool(account_id=TEXT)
def unlock_account(desk: Desk, account_id: str) -> Row:
    """Unlock an account."""
    if desk.one("accounts", account_id)["state"] != "locked":
        raise Refused(f"Account {account_id} is not locked.")
    desk.set("accounts", account_id, state="active", failures=0)
    return {"unlocked": account_id}


@tool(account_id=TEXT)
def send_prompt(desk: Desk, account_id: str) -> Row:
    """Send a prompt to the owner's phone, to be approved there before a new password."""
    desk.one("accounts", account_id)
    desk.set("accounts", account_id, prompt="sent")
    return {"prompt": "sent", "account": account_id}


@tool(account_id=TEXT)
def reset_password(desk: Desk, account_id: str) -> Row:
    """Make a new password, when the owner has approved the prompt; its code is told to them."""
    prompt = desk.one("accounts", account_id)["prompt"]
    if prompt != "approved":
        todo = "ask the owner to approve it (ask_user)" if prompt == "sent" else "send one with send_prompt"
        raise Refused(f"The prompt of account {account_id} is not approved: {todo}.")
    code = code_of(account_id)
    desk.set("accounts", account_id, prompt="none", code=code)
    return {"account": account_id, "code": code}


@tool()
def list_licences(desk: Desk) -> list[Row]:
    """List the licences."""
    return desk.rows("SELECT id, product FROM licences ORDER BY id")


@tool(licence_id=TEXT)
def get_licence(desk: Desk, licence_id: str) -> Row:
    """Show a licence."""
    return desk.one("licences", licence_id)


@tool(device_id=TEXT, licence_id=TEXT)
def install_software(desk: Desk, device_id: str, licence_id: str) -> Row:
    """Install a product on a device, which then has to be restarted by its owner."""
    desk.one("devices", device_id)
    licence = desk.one("licences", licence_id)
    desk.set("licences", licence_id, used=licence["used"] + 1)
    desk.add("installs", id=desk.next_id("installs", "I"), device=device_id, licence=licence_id)
    desk.set("devices", device_id, restart="needed")
    return {"installed": licence["product"], "device": device_id, "restart": "needed"}


@tool(person_id=TEXT, model=one_of(*MODELS))
def order_device(desk: Desk, person_id: str, model: str) -> Row:
    """Order a new device for a person."""
    desk.one("staff", person_id)
    purchase = desk.next_id("purchases", "P")
    desk.add("purchases", id=purchase, owner=person_id, model=model)
    return {"purchase": purchase}


@tool(person_id=TEXT, topic=one_of("security", "hardware", "network", "printer"))
def open_ticket(desk: Desk, person_id: str, topic: str) -> Row:
    """Open a ticket for the specialists."""
    desk.one("staff", person_id)
    ticket = desk.next_id("tickets", "T")
    desk.add("tickets", id=ticket, owner=person_id, topic=topic, status="open")
    return {"ticket": ticket}


@tool(ticket_id=TEXT)
def get_ticket(desk: Desk, ticket_id: str) -> Row:
    """Show a ticket."""
    return desk.one("tickets", ticket_id)


@tool(ticket_id=TEXT)
def close_ticket(desk: Desk, ticket_id: str) -> Row:
    """Close a ticket."""
    if desk.one("tickets", ticket_id)["status"] == "closed":
        raise Refused(f"Ticket {ticket_id} is closed already.")
    desk.set("tickets", ticket_id, status="closed")
    return {"closed": ticket_id}


@tool(action=one_of("restart_device", "approve_prompt"), target_id=TEXT)
def ask_user(desk: Desk, action: str, target_id: str) -> Row:
    """Ask the user to do what only they can: restart a device of theirs, or approve a prompt on their phone."""
    if action == "restart_device":
        desk.one("devices", target_id)
        desk.set("devices", target_id, restart="none")
        return {"user": "restarted it"}
    if desk.one("accounts", target_id)["prompt"] != "sent":
        raise Refused(f"The user sees no prompt for account {target_id}; send one with send_prompt.")
    desk.set("accounts", target_id, prompt="approved")
    return {"user": "approved it"}


def code_of(account_id: str) -> str:
    """Return the code that comes with an account's new password."""
    return str(int(account_id[1:]) * 7919 % 9000 + 1000)


TOOLS: tuple[Tool, ...] = (
    find_employee, get_employee, list_devices, get_device, list_accounts, get_account, unlock_account, send_prompt,
    reset_password, list_licences, get_licence, install_software, order_device, open_ticket, get_ticket, close_ticket,
    ask_user,
)  # fmt: skip
