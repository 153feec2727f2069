"""What comes unasked: dialogs and notifications, drawn from the state, so that equal states are interrupted alike."""

from __future__ import annotations

from random import Random

from agentgym.environments.phone.app import Frame
from agentgym.environments.phone.apps.system import DIALOGS, NOTIFICATIONS
from agentgym.environments.phone.device import Device


def interrupt(device: Device, state_key: str, probability: float) -> bool:
    """Let something come in between with this probability, and return whether it did.

    `state_key` is the state after the action; nothing comes while a dialog or notification is there already.
    """
    random = Random(f"interrupted {state_key}")
    if random.random() >= probability or device.banner or device.top.app == "system":
        return False
    if random.random() < 0.5:
        device.push(Frame("system", random.choice(list(DIALOGS))))
    else:
        app, title, text = random.choice(NOTIFICATIONS)
        device.cover(device.store.insert("notifications", app=app, title=title, text=text))
    return True
