"""The learned policy: the only place that imports torch."""
