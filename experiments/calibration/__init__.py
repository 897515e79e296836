"""A machine measured, and what it measured as a hardware preset."""
