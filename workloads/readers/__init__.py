"""Readers of trace formats, one file each. Every one streams: memory does not grow with the trace."""
