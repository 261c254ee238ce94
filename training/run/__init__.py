"""Runs: run files, their checks and requirements, and building network and data from them."""
