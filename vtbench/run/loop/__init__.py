"""What Lightning calls while it trains and tests: checkpoints, progress, signals, metrics by the step."""
