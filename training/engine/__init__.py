"""The training engine on Lightning: trainer, checkpoints and exact resume, manifest, logs, export, evaluation."""
