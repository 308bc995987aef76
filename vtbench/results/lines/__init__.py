"""Lines of results.csv, speed.csv and costs.csv: their text, their checksum, and how a file of them is read."""
