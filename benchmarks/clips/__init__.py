"""Rendered clips with ground truth: procedural motions of the open body."""
