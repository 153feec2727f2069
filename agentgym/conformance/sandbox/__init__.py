"""`check_sandbox`: attacks that a sandbox must foil, tried for real."""

from agentgym.conformance.sandbox.check import ATTACKS, SPEC, check_sandbox

__all__ = ["ATTACKS", "SPEC", "check_sandbox"]
