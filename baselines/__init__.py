"""Baselines: one method and its hyperparameters a file; they never import each other."""
