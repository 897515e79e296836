"""Runs on the machines of a cluster."""
