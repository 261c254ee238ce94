"""Rotations, camera paths and projection, independent of bodies."""
