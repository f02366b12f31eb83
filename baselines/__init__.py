"""Baselines: one method and its hyperparameters per file; they never import each other."""
