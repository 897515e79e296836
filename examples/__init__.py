"""Processes and measurements beside the model: see ``docs/extending.md``."""
