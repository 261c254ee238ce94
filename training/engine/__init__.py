"""Lightning set-up of a run: devices, checkpoints and exact resume, the manifest, images, and weights in and out."""
