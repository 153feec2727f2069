"""The two scripts here run in ALFWorld's own environment and cannot be imported in ours."""

collect_ignore = ["make_games.py", "real_engine.py"]
