"""Schedules: in which order the turns of a batch are learned from."""
