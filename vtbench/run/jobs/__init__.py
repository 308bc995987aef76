"""Many training runs: which there are, in which order, in which processes, and each result written at once."""
