"""Lightning set-up of a run: devices, checkpoints and exact resume, the manifest, pictures, and weights in and out."""
