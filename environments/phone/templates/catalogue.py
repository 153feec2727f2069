"""All templates, and the phone with the goal that a task plays."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from agentgym.environments.phone.apps.catalogue import HELDOUT, build_phone
from agentgym.environments.phone.device import Device
from agentgym.environments.phone.goals import Goal, effort
from agentgym.environments.phone.templates import (
    calendar,
    clock,
    contacts,
    files,
    messages,
    music,
    notes,
    settings,
    several,
    shop,
    todo,
)
from agentgym.environments.phone.templates.draft import Draft, Template

_FAMILIES = (
    settings.FAMILY,
    contacts.FAMILY,
    messages.FAMILY,
    clock.FAMILY,
    calendar.FAMILY,
    notes.FAMILY,
    todo.FAMILY,
    files.FAMILY,
    shop.FAMILY,
    music.FAMILY,
    several.FAMILY,
)
TEMPLATES = {template.name: template for family in _FAMILIES for template in family.templates}
"""By name, in the order of listings."""
NEW_APPS = frozenset(app.name for app in HELDOUT)


@dataclass(frozen=True)
class Play:
    """A task ready to be played: a phone in its first state, what is asked for, and how much that is."""

    device: Device
    goal: Goal
    effort: int
    """Changes, an answer and the end, each as 1."""


def set_up(template: Template, world_seed: int) -> Play:
    """Build the phone of a task, let the template arrange it, and return it with the goal."""
    device = build_phone(world_seed, heldout=template.app in NEW_APPS)
    goal = template.build(Draft(device.store, Random(f"phone {template.name} {world_seed}")))
    return Play(device, goal, effort(goal.remaining(device.store)) + bool(goal.answer) + 1)
