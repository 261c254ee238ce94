"""The user's settings: properties, preferences, the clip and its camera."""
