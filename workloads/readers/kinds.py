"""What a cell of text may be parsed as, and how compiled parsers hand it over: constants that all of them share."""

NUMBER, HEX, DECIMAL, TEXT, OPTIONAL, LIST = range(6)
"""A whole number, a hexadecimal one, a decimal fraction times a power of ten, a text, one that may be empty, a list.

A list is one of JSON's, of whole numbers."""
BLANKS = -1
"""The separator of fields between which there are blanks, however many."""
MOST_DIGITS = 19
"""Of a decimal fraction times its power of ten: one more might not fit into 64 bits without a sign."""
LONGEST_NUMBER = 400
"""Longer ones, of zeros mostly, are left to others."""
LENGTH_BITS = 32
"""Of a text's place: its length, below its start."""
