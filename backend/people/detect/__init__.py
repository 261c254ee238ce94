"""Finds people and their keypoints in one image."""
