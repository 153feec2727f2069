"""The viewer's pages of memories: what is in one, how it grew, what an item is worth and where it comes from."""
