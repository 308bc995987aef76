"""What a line of results.csv says about where its weights come from."""

from __future__ import annotations

import dataclasses

from vtbench.papers import measurements, select
from vtbench.run import recording

VIT = "msca/table2:vit"


def test_a_record_names_the_file_of_its_weights() -> None:
    (paper,) = measurements(select([VIT])[0], "paper", 0)
    start = recording._init_text(paper.evaluation.training.init, {"init_sha256": "e5005f0a" + 56 * "0"})
    assert start == "vit_base_patch16_224.orig_in21k@e5005f0a"
    assert recording._selection_text(paper.evaluation.training) == "none: last epoch"


def test_a_record_says_when_the_test_set_chose_the_epoch() -> None:
    for scale in ("mini", "paper"):
        training = measurements(select([VIT])[0], scale)[0].evaluation.training
        chosen = dataclasses.replace(training, train=dataclasses.replace(training.train, keep="best_on_test"))
        assert "last epoch" in recording._selection_text(training)
        text = recording._selection_text(chosen)
        assert "on the test set of" in text and "last epoch" not in text
