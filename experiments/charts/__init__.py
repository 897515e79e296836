"""Charts of results: a function takes what was read and gives a picture, its words and its numbers."""
