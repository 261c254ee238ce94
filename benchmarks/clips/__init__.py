"""Clips with known truth: procedural motions of the open body, rendered."""
