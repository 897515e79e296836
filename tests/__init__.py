"""Tests, by what they hold: contracts, differences to naive twins and published counts, golden tables, laws."""
