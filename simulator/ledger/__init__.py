"""The books of a run of the model, in plain Python: what it means is in ``simulator.accounting``."""
