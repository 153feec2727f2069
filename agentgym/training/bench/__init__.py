"""The bench of objectives: recipes trained from one warm start, with the same seeds and tasks, and compared."""
