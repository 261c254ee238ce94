"""A run: its file, checks, requirements, and how it is built."""
