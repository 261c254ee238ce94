"""Builds the files in `backend/assets`."""
