"""Damaged inputs by the thousand: configs, kept results, a machine that fails, and commands that are killed.

Each case draws what it does from its kind, the seed and its number, so that any of them can be run again alone.
"""
