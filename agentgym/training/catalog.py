"""Every part that ships with agentgym; importing this registers them all."""

from __future__ import annotations

from agentgym.training import (
    branching,
    critique,
    curricula,
    guidance,
    proximal,
    replay,
    side_task,
    task_sampling,
)
from agentgym.training.advantages import batch as batch_advantage
from agentgym.training.advantages import (
    beta,
    critic,
    group,
    hierarchy,
    mixed,
    nothing,
    offset,
    pairs,
    raw,
    step,
    stepwise,
    tracker,
)
from agentgym.training.critics import extraction, regressions
from agentgym.training.imagination import parts as imagination
from agentgym.training.losses import (
    adaptive_clips,
    aggregations,
    clips,
    corrections,
    covariance_clips,
    distillation,
    one_token,
    preference,
    ratios,
    rec_clip,
    regularisers,
    soft_clips,
)
from agentgym.training.rewards import overlong
from agentgym.training.schedules import base as schedules
from agentgym.training.schedules import sequential
from agentgym.training.shaping import base as shaping
from agentgym.training.shaping import branches, entropy, groups, returns, temporal
from agentgym.training.shaping import teacher as teacher_shaping
from agentgym.training.teachers import itself, model

__all__ = [
    "adaptive_clips",
    "aggregations",
    "batch_advantage",
    "beta",
    "branches",
    "branching",
    "clips",
    "corrections",
    "covariance_clips",
    "critic",
    "critique",
    "curricula",
    "distillation",
    "entropy",
    "extraction",
    "group",
    "groups",
    "guidance",
    "hierarchy",
    "imagination",
    "itself",
    "mixed",
    "model",
    "nothing",
    "offset",
    "one_token",
    "overlong",
    "pairs",
    "preference",
    "proximal",
    "ratios",
    "raw",
    "rec_clip",
    "regressions",
    "regularisers",
    "replay",
    "returns",
    "schedules",
    "sequential",
    "shaping",
    "side_task",
    "soft_clips",
    "step",
    "stepwise",
    "task_sampling",
    "teacher_shaping",
    "temporal",
    "tracker",
]
