"""The prefetch policies again, in plain Python: what the compiled ones must equal."""
