"""What each family of networks reads of other code: filters for its `foreign_weights` (vtbench.weights.load.Filter)."""
