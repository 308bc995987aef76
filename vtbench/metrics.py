"""Every number that vtbench measures or that a paper prints, in one table: what computes it, its unit, which way is
better.

The check of specs, the module that trains and tests, results.csv and the report iterate this table, so a new metric is
one entry and its function. Nothing is imported here but dataclasses: the paper side reads the table too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One number, of the test of a network or of the network itself.

    - function: `module:function` that computes it from a test: called with the scores (N, C) and labels (N,) of the
      videos that were scored and, as `expected_labels`, the labels of all videos that were to be tested, it gives a
      float in `unit`. A video that could not be read is a miss. None for what no test gives
    - unit: "%" for what may be compared with a printed accuracy; "" for a count
    - higher_is_better: the direction
    - what: what it is, without its unit
    - always: measured in every test; the others are measured where `eval.metrics` names them
    - of_videos: it is a share of the videos, so that one test alone has a confidence interval
    - guesses: how many classes may be named for a video, if so: guessing gives guesses / C
    - work: the pass that `vtbench speed` measures for it (see vtbench.cost.passes); None for what it does not measure
    """

    function: str | None
    unit: str
    higher_is_better: bool
    what: str
    always: bool = False
    of_videos: bool = False
    guesses: int | None = None
    work: str | None = None

    @property
    def direction(self) -> str:
        """In words: "higher is better"."""
        return f"{'higher' if self.higher_is_better else 'lower'} is better"


METRICS: dict[str, Metric] = {
    "top1": Metric(
        "vtbench.evaluation.accuracy:top1", "%", True, "videos whose label has the highest score",
        always=True, of_videos=True, guesses=1,
    ),
    "top5": Metric(
        "vtbench.evaluation.accuracy:top5", "%", True, "videos whose label is among the five highest scores",
        always=True, of_videos=True, guesses=5,
    ),
    "mean_class_accuracy": Metric(
        "vtbench.evaluation.accuracy:mean_class_accuracy", "%", True,
        "mean over the classes of top1 within the class", guesses=1,
    ),
    "params_m": Metric(None, "1e6", False, "parameters"),
    "gflops": Metric(None, "1e9", False, "operations of a forward pass, multiply-adds as a rule"),
    "tflops": Metric(None, "1e12", False, "operations of a forward pass, multiply-adds as a rule"),
    "latency_ms": Metric(None, "ms", False, "time of a forward pass of one clip", work="latency"),
    "throughput_vps": Metric(None, "clips/s", True, "clips through forward passes", work="infer"),
    "memory_gb": Metric(None, "GB", False, "peak memory of a forward pass, in 1e9 bytes", work="infer"),
    "train_step_ms": Metric(None, "ms", False, "time of one training step", work="train"),
    "train_memory_gb": Metric(None, "GB", False, "peak memory of a training step, in 1e9 bytes", work="train"),
    "views": Metric(None, "", False, "views of a video whose scores are averaged"),
}  # fmt: skip


def functions() -> dict[str, str]:
    """Metric -> `module:function`, of those that a test can measure, in the order of the table."""
    return {name: metric.function for name, metric in METRICS.items() if metric.function}


def accuracies() -> tuple[str, ...]:
    """The metrics that a test can measure, in the order of the table."""
    return tuple(functions())


def always_measured() -> tuple[str, ...]:
    """The metrics that every test measures, in the order of the table; the first is the one that matters most."""
    return tuple(name for name in accuracies() if METRICS[name].always)


def speed_metrics() -> tuple[str, ...]:
    """The metrics that `vtbench speed` measures, in the order of the table."""
    return tuple(name for name, metric in METRICS.items() if metric.work)


def is_memory(name: str) -> bool:
    """Whether a metric is an amount of memory."""
    return METRICS[name].unit == "GB"
