"""Who must go: eviction and admission in plain Python, to be read; ``simulator.residency`` has the same compiled."""
