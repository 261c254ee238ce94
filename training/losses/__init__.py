"""What the networks are trained on, one file per family, equal to the originals' on their golden numbers."""
