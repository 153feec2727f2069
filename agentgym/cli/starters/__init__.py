"""What `agentgym init` copies: working starting points, in which only the names change."""
