"""The encodings by name, for settings: what they are is imported where they are used."""

ENCODINGS = ("key", "delta", "page_offset")
