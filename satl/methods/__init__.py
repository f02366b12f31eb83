"""The contract of a method, SATL itself, and how methods are found by their names.

The other methods are in `baselines/`.
"""
