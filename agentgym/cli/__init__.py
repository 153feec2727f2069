"""The command line: one console script, `agentgym`."""
