"""What a line of results.csv says about where its weights come from."""

from __future__ import annotations

from vtbench.papers import measurements, select
from vtbench.run import recording

VIT = "msca/table2:vit"


def test_a_record_names_the_file_of_its_weights() -> None:
    (paper,) = measurements(select([VIT])[0], "paper", 0)
    start = recording._init_text(paper.evaluation.training, {"init_sha256": "e5005f0a" + 56 * "0"})
    assert start == "vit_base_patch16_224.orig_in21k@e5005f0a"
    assert recording._selection_text(paper.evaluation.training, {"selection": "last epoch"}) == "none: last epoch"


def test_a_record_names_the_weights_of_the_audio_encoder() -> None:
    paper = measurements(select(["mmvit/table1:mm-vit-iii-merged"])[0], "paper", 0)[0]
    done = {"init_sha256": "e5005f0a" + 56 * "a", "audio_sha256": "0123abcd" + 56 * "0"}
    text = "vit_base_patch16_224.orig_in21k@e5005f0a;vggish@0123abcd (not 10086976)"
    assert recording._init_text(paper.evaluation.training, done) == text


def test_a_record_says_when_the_test_set_chose_the_epoch() -> None:
    for scale in ("mini", "paper"):
        training = measurements(select([VIT])[0], scale)[0].evaluation.training
        assert "last epoch" in recording._selection_text(training, {"selection": "last epoch"})
        text = recording._selection_text(training, {"selection": "best of 3 epochs on the test set"})
        assert "on the test set" in text and "last epoch" not in text
