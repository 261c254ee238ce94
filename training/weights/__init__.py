"""Initial weights of runs."""
