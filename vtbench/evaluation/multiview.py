"""View scores to video scores: a video's scores are the mean over its views (clips x crops), all of them, each once.

V views of a video, C classes.

    view_scores = ViewScores()
    for video_id, view, logits in ...:              # for example in a LightningModule's test_step
        view_scores.add(video_id, view, logits)     # logits (C,)
    names, scores = view_scores.video_scores(30)    # scores (videos, C)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vtbench.errors import ResultsError, RunError
from vtbench.files import regular


def average_views(
    views: Float[Tensor, "V C"], average: Literal["logits", "probabilities"] = "logits"
) -> Float[Tensor, " C"]:
    """The mean over the views of one video of its logits, or of their softmax; summed in float64, given in float32."""
    views = views.double()
    return (views.softmax(dim=1) if average == "probabilities" else views).mean(dim=0).float()


class ViewScores:
    """Collects the scores of single views by video id, in any order, and averages them per video."""

    def __init__(self) -> None:
        self._views: dict[str, dict[int, Tensor]] = {}
        self._num_classes: int | None = None

    @property
    def video_ids(self) -> list[str]:
        """The videos with at least one view, in the order they were first seen."""
        return list(self._views)

    def add(self, video_id: str, view: int, scores: Float[Tensor, " C"]) -> None:
        """Keep the scores before softmax of one view; `view` counts from 0.

        Raises RunError naming the video when the view was already there or a score is not finite. A copy is kept, in
        float32 on the CPU.
        """
        if self._num_classes is None:
            self._num_classes = len(scores)
        if len(scores) != self._num_classes:
            raise RunError(
                f"video {video_id}: view {view} has scores of {len(scores)} classes, others of {self._num_classes}"
            )
        if not torch.isfinite(scores).all():
            raise RunError(f"video {video_id}: the scores of view {view} are not finite; the training has diverged")
        views = self._views.setdefault(video_id, {})
        if view in views:
            raise RunError(f"video {video_id}: view {view} was scored twice; is the video listed twice?")
        views[view] = scores.detach().to("cpu", torch.float32, copy=True)

    def update(self, other: ViewScores) -> None:
        """Take over all views of `other`; RunError as in `add`."""
        for video_id, views in other._views.items():
            for view, scores in views.items():
                self.add(video_id, view, scores)

    def sort(self, video_ids: Sequence[str]) -> None:
        """Put the videos into this order; it names all of them, and maybe others."""
        self._views = {video_id: self._views[video_id] for video_id in video_ids if video_id in self._views}

    def video_scores(
        self, expected_views: int, *, average: Literal["logits", "probabilities"] = "logits"
    ) -> tuple[list[str], Float[Tensor, "videos C"]]:
        """Video ids and their scores: the mean over the views of the logits, or of their softmax.

        The mean is summed in float64 in the order of the views, so it does not depend on the order in which they came,
        and many equal views give exactly what one gives. Raises RunError naming the video when one of the views
        0..expected_views-1 is missing or one beyond them is there.
        """
        means = []
        for video_id, views in self._views.items():
            missing = [view for view in range(expected_views) if view not in views]
            if missing:
                raise RunError(
                    f"video {video_id}: {len(missing)} of {expected_views} views are missing, the first is {missing[0]}"
                )
            if len(views) > expected_views:
                raise RunError(f"video {video_id}: {len(views)} views were scored, {expected_views} are expected")
            means.append(average_views(torch.stack([views[view] for view in range(expected_views)]), average))
        return self.video_ids, torch.stack(means) if means else torch.zeros(0, self._num_classes or 0)

    def save(self, path: Path, *, labels: Mapping[str, int]) -> None:
        """Write all view scores, and the labels of all videos (also of those that have no scores), to a .npz file.

        Arrays: `video_ids` and `labels` (N), and for each of M views `video` (its index in video_ids), `view`, and
        `scores` (M, C) float32. Raises OSError when it cannot be written, KeyError for a scored video without a label.
        """
        ids = list(labels)
        index = {video_id: number for number, video_id in enumerate(ids)}
        entries = [
            (index[video_id], view, scores)
            for video_id, views in self._views.items()
            for view, scores in sorted(views.items())
        ]
        shape = (len(entries), self._num_classes or 0)
        with path.open("wb") as file:  # given a name, numpy would append .npz to it
            np.savez_compressed(
                file,
                video_ids=np.array(ids, dtype=np.str_),
                labels=np.array(list(labels.values()), dtype=np.int64),
                video=np.array([video for video, _, _ in entries], dtype=np.int32),
                view=np.array([view for _, view, _ in entries], dtype=np.int16),
                scores=np.array([scores.numpy() for _, _, scores in entries], dtype=np.float32).reshape(shape),
            )

    @classmethod
    def load(cls, path: Path) -> tuple[ViewScores, dict[str, int]]:
        """What `save` wrote: the view scores and the labels. Raises ResultsError for a file that it did not write."""
        try:
            with regular(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                ids = [str(name) for name in file["video_ids"]]
                labels = dict(zip(ids, file["labels"].tolist(), strict=True))
                loaded = cls()
                for video, view, scores in zip(file["video"], file["view"], file["scores"], strict=True):
                    loaded.add(ids[int(video)], int(view), torch.from_numpy(scores))
        except Exception as error:  # numpy and zipfile raise a dozen kinds for a damaged file
            raise ResultsError(
                f"{path}: not a file of view scores ({error}); remove its folder and run again"
            ) from error
        return loaded, labels
