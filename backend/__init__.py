"""Recover Mesh backend: photos and videos to body parameters.  Importing this package does not import torch."""

__version__ = "0.1.0"
