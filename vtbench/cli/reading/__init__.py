"""The verbs that read what was predicted for single videos: compare, predictions, predict, results."""
