"""Models of environments, to learn in besides the environments themselves (DreamGym, arXiv 2511.03773)."""
