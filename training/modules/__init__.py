"""One LightningModule per network family: its losses, schedule and validation."""
