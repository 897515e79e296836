"""Which block is in which tier, and who is evicted: compiled; each eviction policy and each admission is one file."""
