"""Image backbones; their parameter names are those of the official checkpoints."""
