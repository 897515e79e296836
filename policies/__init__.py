"""Prefetch policies, one file each; the registry names them all. Only ``lstm`` imports torch."""
