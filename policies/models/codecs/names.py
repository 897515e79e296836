"""The encodings by name, for settings: what they are is imported where they are used."""

ENCODINGS = ("key", "delta", "page_offset")
OF_SETS = ("key", "delta")
"""Those whose classes stand for a block each: several of them are a set."""
