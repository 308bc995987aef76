"""Keys are hashes of content: what fixes the weights enters, what does not stays out."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from vtbench.papers import measurements, select
from vtbench.papers.spec.recipe import Model
from vtbench.papers.trainings import Evaluation, Start, Training


@pytest.fixture
def evaluation() -> Evaluation:
    return measurements(select(["msca/table2:msca-kv"])[0], "paper")[0].evaluation


def changed(training: Training, block: str, **values: Any) -> Training:
    return dataclasses.replace(training, **{block: dataclasses.replace(getattr(training, block), **values)})


@pytest.mark.parametrize(
    ("block", "values"),
    [
        ("data", {"dataset": "cycle"}),
        ("data", {"num_frames": 4}),
        ("data", {"limit_train": 8}),
        ("augment", {"flip": 0.0}),
        ("data", {"stride": None, "starts": None, "sampling": "segments"}),
        ("data", {"starts": None}),
        ("data", {"frames": "linspace"}),
        ("augment", {"flip_sided": "never"}),
        ("augment", {"hue": (-0.1, 0.1)}),
        ("augment", {"crop": "resized"}),
        ("augment", {"auto_augment": "imagenet"}),
        ("augment", {"erasing": 0.25}),
        ("train", {"lr": 0.2}),
        ("train", {"epochs": 18}),
        ("train", {"clip_grad_norm": None}),
        ("train", {"batch_size": 21}),
        ("init", {"weights": "other"}),
        ("init", {"weights": None}),
    ],
)
def test_what_fixes_the_weights_changes_the_key(evaluation: Evaluation, block: str, values: dict[str, Any]) -> None:
    assert changed(evaluation.training, block, **values).key != evaluation.training.key


def test_seed_and_model_arguments_change_the_key(evaluation: Evaluation) -> None:
    training = evaluation.training
    other = Model(name="msca", arguments={**training.model.arguments, "backward_heads": 2})
    keys = {training.key, dataclasses.replace(training, seed=1).key, dataclasses.replace(training, model=other).key}
    assert len(keys) == 3


def test_what_does_not_fix_the_weights_stays_out(evaluation: Evaluation) -> None:
    training = evaluation.training
    assert dataclasses.replace(training, scale="mini").key == training.key
    assert changed(training, "data", limit_test=4).key == training.key
    assert changed(training, "train", batch_size=84, accumulate=5).key == training.key  # 420 clips either way


def test_the_training_it_starts_from_enters_by_its_content(evaluation: Evaluation) -> None:
    training = evaluation.training
    first = dataclasses.replace(training, init=Start(training=training))
    second = dataclasses.replace(training, init=Start(training=changed(training, "train", epochs=18)))
    assert len({training.key, first.key, second.key}) == 3


def test_the_test_protocol_is_in_the_evaluation_key_alone(evaluation: Evaluation) -> None:
    fewer = dataclasses.replace(evaluation, eval=dataclasses.replace(evaluation.eval, clips=1))
    limited = dataclasses.replace(evaluation, data=dataclasses.replace(evaluation.data, limit_test=4))
    assert len({evaluation.key, fewer.key, limited.key}) == 3
    assert fewer.training.key == evaluation.training.key


def test_random_clips_with_another_seed_are_another_evaluation(evaluation: Evaluation) -> None:
    random = [
        dataclasses.replace(
            evaluation, eval=dataclasses.replace(evaluation.eval, clip_sampling="random", clip_seed=seed)
        )
        for seed in (1, 2)
    ]
    assert len({evaluation.key, *(r.key for r in random)}) == 3


def test_a_model_argument_left_at_none_does_not_move_old_keys(evaluation: Evaluation) -> None:
    training = evaluation.training
    wider = Model(name="msca", arguments={**training.model.arguments, "added_later": None})
    assert dataclasses.replace(training, model=wider).key == training.key


def test_keys_are_twelve_hex_digits_and_the_same_in_every_process(evaluation: Evaluation) -> None:
    for key in (evaluation.key, evaluation.training.key):
        assert len(key) == 12
        assert set(key) <= set("0123456789abcdef")
    # Committed results are found by these keys: when this changes on purpose, results.csv has to be measured anew.
    assert evaluation.training.key == "e40df791cb05"
