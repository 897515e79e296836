"""The same workload and policies on a live cache and in the simulator, side by side (docs/validation.md)."""
