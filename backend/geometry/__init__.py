"""Rotations, camera paths and projection.  Nothing here knows of bodies."""
