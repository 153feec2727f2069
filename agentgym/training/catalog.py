"""Every part that ships with agentgym; importing this registers them all."""

from __future__ import annotations

from agentgym.training import proximal
from agentgym.training.advantages import group, nothing, step
from agentgym.training.losses import (
    adaptive_clips,
    aggregations,
    clips,
    corrections,
    covariance_clips,
    distillation,
    ratios,
    rec_clip,
    regularisers,
    soft_clips,
)
from agentgym.training.schedules import base as schedules
from agentgym.training.schedules import sequential
from agentgym.training.shaping import base as shaping
from agentgym.training.shaping import teacher as teacher_shaping

__all__ = [
    "adaptive_clips",
    "aggregations",
    "clips",
    "corrections",
    "covariance_clips",
    "distillation",
    "group",
    "nothing",
    "proximal",
    "ratios",
    "rec_clip",
    "regularisers",
    "schedules",
    "sequential",
    "shaping",
    "soft_clips",
    "step",
    "teacher_shaping",
]
