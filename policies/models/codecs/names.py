"""The encodings by name, for settings: what they are is imported where they are used."""

ENCODINGS = ("key", "delta", "delta_offset", "page_offset")
OF_SETS = ("key", "delta", "delta_offset")
"""Those whose classes stand for a block each: several of them are a set."""


def files_of(encoding: str) -> tuple[str, ...]:
    """The names of the files that make it what it is."""
    return ("delta", "delta_offset") if encoding == "delta_offset" else (encoding,)
