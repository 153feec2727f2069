"""An agent of its own package: the files that `agentgym init agent` writes."""
