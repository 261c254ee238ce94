"""Installs, starts, watches and stops the backend process."""
