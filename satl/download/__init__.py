"""From the net to the data folder: verified, resumable, unpacked."""
