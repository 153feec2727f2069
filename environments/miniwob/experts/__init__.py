"""Scripts that know how to do MiniWoB's tasks, by what they take."""
