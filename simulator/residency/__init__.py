"""Which block is in which tier, and who is evicted: compiled, one file per eviction policy."""
