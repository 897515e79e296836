"""Lists of wrong code, and a runner that has the tests notice each: ``python -m tests.mutants LIST``."""
