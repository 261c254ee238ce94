"""Runs a network on crops of people and places its bodies in the photo's camera."""
