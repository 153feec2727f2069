"""An environment of its own package: the files that `agentgym init env` writes."""
