"""Visual Genome by lists, index and objects."""
