"""Talks to the backend over ZeroMQ.  No bpy here."""
