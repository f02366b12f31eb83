"""From image files and annotations to label tables, partial-label splits and image batches."""
