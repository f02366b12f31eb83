"""The contract of a method, and SATL itself. The other methods are in `baselines/`."""
