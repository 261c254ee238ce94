"""Tracks of detected people -> smooth motions in one metric world."""
