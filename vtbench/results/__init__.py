"""What was measured: one CSV line per finished measurement, and the run folders beside it. No torch."""
