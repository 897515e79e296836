"""Workloads: one file a generator, one file a trace format under ``readers``."""
