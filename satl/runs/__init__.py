"""Runs: which there are, where they lie, what is in their folders, and whether they are current."""
