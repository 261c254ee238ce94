"""Image backbones with the parameter names of their official checkpoints."""
