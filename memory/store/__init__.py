"""Where memory items are kept, in SQLite or PostgreSQL: see `agentgym.memory.store.store.MemoryStore`."""
