"""Links detections over time: tracks, shots, identities."""
