"""Rules distilled from episodes: see `agentgym.memory.principles.book.PrincipleBook`."""
