"""Metrics, and the protocol that each benchmark's numbers are made with."""
