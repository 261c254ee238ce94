"""Photos, videos and image sequences as upright RGB frames."""
