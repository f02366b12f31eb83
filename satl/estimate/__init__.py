"""What an experiment will cost, before it is started."""
