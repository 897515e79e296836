"""Files that run in other programs, without anything of this one: the standard library alone."""
