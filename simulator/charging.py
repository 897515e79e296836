"""Where compiled code finds what it charges a batch of questions (rule R15)."""

FIXED, MEASURED, LISTED, MEASURED_CPU = range(4)
"""The same for all; what its wall clock says; the next of those that are listed; what its thread had of a processor."""
