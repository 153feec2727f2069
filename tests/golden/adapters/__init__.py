"""One adapter per kind of golden case; importing this registers them all."""

from tests.golden.adapters import credit, distillation, groups, policy, seeupo, trinity, verl_groups

__all__ = ["credit", "distillation", "groups", "policy", "seeupo", "trinity", "verl_groups"]
