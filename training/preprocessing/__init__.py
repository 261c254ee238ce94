"""Preparers: records -> network inputs and targets, with the originals' augmentation."""
