"""From view scores to the numbers of a table. Knows nothing of specs, papers or results."""

METRICS: dict[str, str] = {
    "mean_class_accuracy": "vtbench.evaluation.metrics:mean_class_accuracy",
}
"""What a spec's `eval.metrics` can name besides `package.module:function`: name -> `module:function`. A metric is given
scores (N, C) and labels (N,) of the videos that were scored, and as `expected_labels` the labels of all videos that
were to be tested; it gives a number, accuracies in percent."""
