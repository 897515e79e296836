"""Policies from outside: a class in Python, or answers that were computed elsewhere."""
