"""Workloads and trace formats from outside: a class in Python."""
