"""Measurements: too long or too noisy for the tests. ``make bench`` runs them."""
