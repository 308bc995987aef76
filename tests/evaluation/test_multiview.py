from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vtbench.errors import ResultsError, RunError
from vtbench.evaluation.multiview import ViewScores


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def collected(views: torch.Tensor, video_id: str = "a.mp4", order: list[int] | None = None) -> ViewScores:
    made = ViewScores()
    for view in order or range(len(views)):
        made.add(video_id, view, views[view])
    return made


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_a_video_is_the_mean_of_its_views(average: str, generator: torch.Generator) -> None:
    views = torch.randn(30, 5, generator=generator)
    _, scores = collected(views).video_scores(30, average=average)
    expected = views if average == "logits" else views.exp() / views.exp().sum(dim=1, keepdim=True)
    torch.testing.assert_close(scores[0], expected.sum(dim=0) / 30)


def test_the_two_averages_can_disagree() -> None:
    views = torch.tensor([[9.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    predicted = {a: int(collected(views).video_scores(5, average=a)[1].argmax()) for a in ("logits", "probabilities")}
    assert predicted == {"logits": 0, "probabilities": 1}


@pytest.mark.parametrize("count", [2, 3, 7, 30])
def test_many_equal_views_equal_one_exactly(count: int, generator: torch.Generator) -> None:
    for _ in range(20):
        view = torch.randn(11, generator=generator) * 100
        _, many = collected(view.expand(count, -1)).video_scores(count)
        assert torch.equal(many[0], view)


def test_the_order_in_which_views_come_does_not_matter(generator: torch.Generator) -> None:
    views = torch.randn(30, 4, generator=generator)
    order = torch.randperm(30, generator=generator).tolist()
    assert torch.equal(collected(views).video_scores(30)[1], collected(views, order=order).video_scores(30)[1])


def test_videos_keep_their_own_scores_in_the_order_first_seen() -> None:
    made = ViewScores()
    for view in range(2):
        for number, name in enumerate(("b", "a", "c")):
            made.add(name, view, torch.full((3,), float(number)))
    names, scores = made.video_scores(2)
    assert names == ["b", "a", "c"] and scores[:, 0].tolist() == [0, 1, 2]


def test_a_missing_view_is_an_error_that_names_the_video(generator: torch.Generator) -> None:
    made = collected(torch.randn(30, 4, generator=generator), order=[v for v in range(30) if v != 7])
    with pytest.raises(RunError, match=r"video a\.mp4: 1 of 30 views are missing, the first is 7"):
        made.video_scores(30)


def test_a_doubled_view_is_an_error_that_names_the_video() -> None:
    made = collected(torch.zeros(3, 4))
    with pytest.raises(RunError, match=r"video a\.mp4: view 1 was scored twice"):
        made.add("a.mp4", 1, torch.zeros(4))


def test_a_view_too_many_is_an_error() -> None:
    with pytest.raises(RunError, match=r"video a\.mp4: 4 views were scored, 3 are expected"):
        collected(torch.zeros(4, 2)).video_scores(3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_an_error(value: float) -> None:
    with pytest.raises(RunError, match=r"video a\.mp4: .*not finite"):
        ViewScores().add("a.mp4", 0, torch.tensor([0.0, value]))


def test_another_number_of_classes_is_an_error() -> None:
    made = collected(torch.zeros(1, 4))
    with pytest.raises(RunError, match=r"video b: view 0 has scores of 5 classes, others of 4"):
        made.add("b", 0, torch.zeros(5))


def test_scores_are_copied() -> None:
    scores = torch.ones(3)
    made = ViewScores()
    made.add("a", 0, scores)
    scores.zero_()
    assert made.video_scores(1)[1].sum() == 3


def test_no_video_at_all_gives_no_scores() -> None:
    names, scores = ViewScores().video_scores(30)
    assert names == [] and len(scores) == 0


def test_saved_scores_come_back_by_video_id(tmp_path: Path, generator: torch.Generator) -> None:
    made = ViewScores()
    for name in ("class one/vidéo 1.mp4", "b.mp4"):
        for view in (2, 0, 1):
            made.add(name, view, torch.randn(4, generator=generator))
    labels = {"broken.mp4": 3, "b.mp4": 1, "class one/vidéo 1.mp4": 0}
    made.save(tmp_path / "half-written", labels=labels)
    loaded, loaded_labels = ViewScores.load(tmp_path / "half-written")
    assert loaded_labels == labels
    before, after = (dict(zip(*scores.video_scores(3), strict=True)) for scores in (made, loaded))
    assert set(before) == set(after) and all(torch.equal(before[name], after[name]) for name in before)


def test_the_file_has_the_documented_arrays(tmp_path: Path) -> None:
    collected(torch.arange(6.0).reshape(3, 2)).save(tmp_path / "scores.npz", labels={"x": 1, "a.mp4": 0})
    with np.load(tmp_path / "scores.npz", allow_pickle=False) as file:
        assert {name: file[name].tolist() for name in file.files} == {
            "video_ids": ["x", "a.mp4"],
            "labels": [1, 0],
            "video": [1, 1, 1],
            "view": [0, 1, 2],
            "scores": [[0, 1], [2, 3], [4, 5]],
        }


def test_an_empty_collection_can_be_saved(tmp_path: Path) -> None:
    ViewScores().save(tmp_path / "scores.npz", labels={"broken.mp4": 3})
    loaded, labels = ViewScores.load(tmp_path / "scores.npz")
    assert loaded.video_ids == [] and labels == {"broken.mp4": 3}


def test_a_damaged_file_is_named_with_its_remedy(tmp_path: Path, generator: torch.Generator) -> None:
    path = tmp_path / "scores.npz"
    collected(torch.randn(30, 40, generator=generator)).save(path, labels={"a.mp4": 0})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ResultsError, match=r"scores\.npz: not a file of view scores .*remove its folder"):
        ViewScores.load(path)
