"""Every part that ships with agentgym; importing this registers them all."""

from __future__ import annotations

from agentgym.training import proximal
from agentgym.training.advantages import group, nothing, step
from agentgym.training.losses import aggregations, clips, corrections, distillation, ratios, regularisers
from agentgym.training.schedules import base as schedules
from agentgym.training.schedules import sequential
from agentgym.training.shaping import base as shaping
from agentgym.training.shaping import teacher as teacher_shaping

__all__ = [
    "aggregations",
    "clips",
    "corrections",
    "distillation",
    "group",
    "nothing",
    "proximal",
    "ratios",
    "regularisers",
    "schedules",
    "sequential",
    "shaping",
    "step",
    "teacher_shaping",
]
