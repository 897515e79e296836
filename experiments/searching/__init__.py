"""``tierfetch search``: the best setting of what a sweep spans, by trials that Optuna proposes.

``space`` turns axes of a sweep into parameters and combinations into experiments, ``asking`` has Optuna propose those
that are new, ``trials`` makes their runs and stops what is clearly worse, ``confirming`` runs the best one on fresh
seeds, ``said`` is what is told of it all.
"""
