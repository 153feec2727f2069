"""Kinds of tasks, a file for each sort of work."""
