"""Losses and their targets, one file per network family, equal to the originals' on their golden numbers."""
