"""What differs between results: in what was asked for, in what made them, and in what came out (docs/comparing.md)."""
