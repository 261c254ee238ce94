"""The commands of `python -m training`, one file each.  Importing them must not import torch."""
