"""What the user has chosen: properties, preferences, the clip and its camera."""
