"""Experiments: config, arms, tables, comparison. The only place that knows YAML, Parquet and a terminal."""
