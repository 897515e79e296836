"""Published formats: a class each, whose docstring, layout and example are data."""
