"""One LightningModule per network family: losses, optimiser, schedule, validation."""
