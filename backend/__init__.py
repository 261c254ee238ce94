"""Recover Mesh backend: photos and video to body parameters.  Importing this package is cheap: torch comes later."""

__version__ = "0.1.0"
