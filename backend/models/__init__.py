"""The recovery models and their registry."""
