"""Checks that tell the author of an environment what is wrong with it; shipped to users."""

from agentgym.conformance.env import CHECKS, check_env
from agentgym.conformance.report import CheckResult, Report, Status

__all__ = ["CHECKS", "CheckResult", "Report", "Status", "check_env"]
