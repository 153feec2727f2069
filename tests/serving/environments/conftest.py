"""What is here and is no test."""

collect_ignore = ["peers"]
"""Programs for OpenEnv's virtual environment; see `test_openenv.py`."""
