"""Trackers that receive finished runs; nothing is read back from them."""
