"""A CUDA double: what runs on GPUs is tested without one, and what CUDA would refuse, or do too late, fails."""
