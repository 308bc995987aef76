"""What a training run is resumed from: its checkpoints, at the end of an epoch and inside."""
