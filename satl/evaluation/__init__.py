"""From scores and ground truth to metrics; nothing else reads the ground truth."""
