"""From view scores to the numbers of a table. Knows nothing of specs, papers or results."""
