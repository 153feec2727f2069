"""World laws: preconditions and effects of actions, learned from episodes (OneLife, arXiv 2510.12088)."""
