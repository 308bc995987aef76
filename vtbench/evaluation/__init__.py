"""From view scores to the numbers of a table. Knows nothing of specs, papers or results.

- `measure`: the metrics of one test, by name
- `accuracy`: the accuracies of vtbench.metrics
- `multiview`: view scores to video scores
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from vtbench.errors import RunError
from vtbench.metrics import functions
from vtbench.naming import guarded, load

if TYPE_CHECKING:
    from torch import Tensor


def measure(scores: Tensor, labels: Tensor, expected_labels: Iterable[int], names: Iterable[str]) -> dict[str, float]:
    """The metrics called `names`, each in its unit, accuracies in percent.

    - scores: (N, C), of the videos that were scored
    - labels: (N,), theirs, integers
    - expected_labels: those of all videos that were to be tested; one that could not be read is a miss
    - names: of `vtbench.metrics.METRICS`, or `package.module:function`, which is called `function` in the result

    Raises UsageError for a name that leads nowhere, RunError for a metric of the user's that fails and for one that
    gives no finite number.
    """
    expected = list(expected_labels)
    measured = {}
    for name in names:
        function = metric_function(name)
        with guarded(name, "metric", "repair it and give the same command again", RunError):
            value = float(function(scores, labels, expected_labels=expected))
        if not math.isfinite(value):
            raise RunError(f"metric {name}: gave {value}, a finite number is wanted")
        measured[name.rpartition(":")[2]] = value
    return measured


def metric_function(name: str) -> Any:
    """The function of a metric, by a name of `vtbench.metrics.METRICS` or `package.module:function`.

    Raises UsageError for an unknown name, and for a module that cannot be imported.
    """
    return load(name, functions(), "metric")
