"""Records -> what the networks take, with the originals' augmentation."""
