"""Runs, episodes, turns, metrics and evaluations in one SQLite file: see `Store` and `EpisodeWriter`."""
