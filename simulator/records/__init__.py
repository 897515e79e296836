"""What the engine and the residency keep, declared once: records in memory, and rows on their way to tables."""
