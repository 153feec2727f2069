"""Environments behind a URL: those that `agentgym serve` serves, and any other server of OpenEnv's protocol."""
