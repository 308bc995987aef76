"""The verbs that read what was predicted for single videos, or predict it: compare, predictions, predict."""
