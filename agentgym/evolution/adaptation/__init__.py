"""How an agent adapts in its attempts at a task: the prompt that makes a guide of them, and what of a memory is shown; a
search for the best of both on train tasks, selected on `select` (Meta-TTL)."""
