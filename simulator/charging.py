"""Where compiled code finds what it charges a batch of questions (rule R15)."""

FIXED, MEASURED, LISTED = range(3)
"""The same for all; what its clock says; the next of those that are listed."""
