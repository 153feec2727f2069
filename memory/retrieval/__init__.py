"""Finding what helps: see `agentgym.memory.retrieval.library.Library`."""
