"""From what the paper side says of a training to the objects that Lightning takes: the only translator.

    parts = assemble(training, settings)
    parts.load_start()
    lightning.Trainer(**parts.trainer).fit(parts.method, parts.data)

Everything is built here from plain arguments, once.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn

from vtbench.datasets import (
    ClipSampling,
    CompressedFrames,
    DecodedFrames,
    Loading,
    TestViews,
    VideoData,
    VideoFolder,
    VideoLists,
    build_data,
)
from vtbench.datasets.cache import SHARED
from vtbench.datasets.check.coding import sample_of_codings
from vtbench.datasets.manifests import Entry
from vtbench.datasets.prepared import read_prepared
from vtbench.datasets.sharing import Share
from vtbench.datasets.synthetic.videos import SyntheticFolder
from vtbench.errors import DataError, SpecError
from vtbench.methods import build_method, processes
from vtbench.methods.base import Validation, VideoClassifier
from vtbench.papers.datasets import FOLDER, NO_FLIP
from vtbench.papers.spec.recipe import Data, set_values
from vtbench.papers.trainings import Evaluation, Training
from vtbench.run.devices.batches import Batches, split_batch, test_batches
from vtbench.run.devices.machine import accelerator, devices, prepare_network
from vtbench.run.engine import Engine
from vtbench.run.network import spec_of
from vtbench.run.settings import Settings
from vtbench.run.weights import audio_weights_file, refuse_other_weights, start_file
from vtbench.scales import SCALES
from vtbench.video.modalities import TestModalities, TrainModalities
from vtbench.video.transforms import TestTransform, TrainTransform
from vtbench.weights import LoadReport, load_weights, sha256_of


@dataclass(frozen=True)
class Assembly:
    """One training run, or one evaluation of it, as objects: nothing has been read or trained yet."""

    training: Training
    method: VideoClassifier
    data: VideoData
    trainer: dict[str, Any]
    """Arguments of lightning.Trainer; callbacks, logger and folder are the caller's."""
    batches: Batches
    audio_weights: Path | None
    """The file of weights of the audio encoder, which are loaded; None where there is none that has any."""
    settings: Settings

    @property
    def network(self) -> nn.Module:
        """The network inside the method."""
        return self.method.network

    @functools.cached_property
    def start(self) -> Path | None:
        """The file of weights that the training starts from, downloaded where no file was given for a pinned release;
        None for random ones. Raises WeightsError, and RunError for a training of ours with another batch."""
        start = self.training.init
        if start.training is None:
            return start_file(start, self.settings)
        made_here = split_batch(start.training, self.settings.batch_size, self.settings.engine)
        recipe = split_batch(start.training, None)
        return start_file(start, self.settings, [(one.effective, one.lr) for one in (recipe, made_here)])

    def load_start(self) -> LoadReport | None:
        """Load what the training starts from into the network. Raises WeightsError for a file that does not fit,
        ResultsError for weights of a training of ours that are not those that it ended with."""
        if self.start is None:
            return None
        loaded = load_weights(self.network, self.start)
        if self.training.init.training is not None:
            refuse_other_weights(self.start.parent, loaded.sha256)
        return loaded

    @property
    def audio_sha256(self) -> str | None:
        """SHA-256 of the file of weights of the audio encoder."""
        return sha256_of(self.audio_weights) if self.audio_weights else None


def _common(training: Training, engine: Engine) -> dict[str, Any]:
    """Options of every Trainer here: vtbench draws its own progress and keeps its own checkpoints, and starts the
    processes of several devices itself (vtbench.run.jobs.ranks)."""
    return {
        "accelerator": accelerator(training),
        **devices(engine),
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
    }


def assemble(training: Training, settings: Settings, *, network: nn.Module | None = None) -> Assembly:
    """The method with its network, the data module and the trainer's options of a training.

    `network` is one to use in place of the spec's, for clips of the spec's data. Seeds everything with the training's
    seed first, so that random weights depend on it alone. Raises a VtbenchError that names what cannot be built or is
    not there.
    """
    seed_everything(training)
    train, batches = training.train, split_batch(training, settings.batch_size, settings.engine)
    audio_weights = audio_weights_file(training.data.audio_encoder, settings)
    method = build_method(
        train.method,
        spec_of(training.network) if network is None else network,
        lr=batches.lr,
        epochs=train.epochs,
        **audio_spec(training.data, audio_weights),
        **copy.deepcopy(dict(train.arguments)),
    )
    prepare_network(method.network, settings.engine, training)
    if settings.engine.strategy == "fsdp":
        # It loads a checkpoint before the method adds its audio encoder; names were compared before.
        method.strict_loading = False
    data = data_module(training, settings, batches, validation=method.validation)
    trainer = _common(training, settings.engine) | {
        "max_epochs": train.epochs,
        "accumulate_grad_batches": batches.accumulate,
        "gradient_clip_val": train.clip_grad_norm,
        "precision": settings.engine.precision or train.precision,
        "limit_val_batches": 1.0 if method.validation else 0,
    }
    return Assembly(training, method, data, trainer, batches, audio_weights, settings)


def assemble_test(
    evaluation: Evaluation,
    settings: Settings,
    *,
    network: nn.Module | None = None,
    videos: VideoLists | None = None,
) -> Assembly:
    """As `assemble`, for a test: the network in a module that only tests, and the views of the protocol. It starts from
    nothing; the weights to test are the caller's to load. `videos`: other ones than those of the data set."""
    training, protocol, data = evaluation.training, evaluation.eval, evaluation.data
    seed_everything(training)
    audio_weights = audio_weights_file(data.audio_encoder, settings)
    method = VideoClassifier(
        spec_of(training.network) if network is None else network,
        average=protocol.average,
        **audio_spec(data, audio_weights),
    )
    engine = settings.engine.for_test()
    if engine.compile:
        method.network.compile()
    batches = test_batches(training, engine)
    module = data_module(training, settings, batches, evaluation=evaluation, videos=videos)
    trainer = _common(training, engine) | ({"precision": engine.precision} if engine.precision else {})
    return Assembly(training, method, module, trainer, batches, audio_weights, settings)


def seed_everything(training: Training) -> None:
    """Seed all generators, and use one thread at the scales of small networks: they gain nothing from more, and the
    numbers then do not depend on the machine's cores."""
    if not SCALES[training.scale].real:
        torch.set_num_threads(1)
    L.seed_everything(training.seed, workers=True, verbose=False)


def share_of(batches: Batches) -> Share | None:
    """Which part of each batch this process takes; None for a single one."""
    if batches.processes == 1:
        return None
    return Share(processes.this(), batches.processes, batches.whole or batches.batch_size * batches.processes)


def audio_spec(data: Data, weights: Path | None) -> dict[str, Any]:
    """The argument `audio_encoder` of a method, where clips have audio: name and weights of the encoder, as
    vtbench.models.build_audio_encoder takes them."""
    if data.audio_encoder is None:
        return {}
    return {"audio_encoder": {"name": data.audio_encoder, "weights": str(weights) if weights else None}}


# ---- data ------------------------------------------------------------------------------------------------------------


def data_module(
    training: Training,
    settings: Settings,
    batches: Batches,
    *,
    evaluation: Evaluation | None = None,
    validation: Validation | None = None,
    videos: VideoLists | None = None,
) -> VideoData:
    """The data module of a training, with what its method validates on, or of one of its evaluations, or for `videos`
    in place of those of the data set.

    Raises DataError, with the option to give, for a real data set without a folder, SpecError for videos that must not
    be mirrored, and for a data module of the user's that does not take what it is given.
    """
    augment, data, facts = training.augment, training.data, training.dataset
    if evaluation:
        data, facts = evaluation.data, evaluation.dataset
    protocol = evaluation.eval if evaluation else None
    if augment.flip and not facts.flip_allowed:
        raise SpecError(f"augment.flip is {augment.flip}: {NO_FLIP.format(data.dataset)}")
    root = settings.data.get(data.dataset)
    if root is None and not facts.synthetic and videos is None:
        raise DataError(
            f"the data set '{data.dataset}' has no folder: give --data {data.dataset}=PATH, or "
            f"data: {{{data.dataset}: PATH}} in vtbench.yaml"
        )
    # One crop of a validation is cut from the size that is trained on; three cover the frame at the crop's own size.
    size = augment.short_side[0] if validation and validation.crops == 1 else data.size
    pixels = {name: value for name, value in set_values(augment).items() if name not in ("flip", "flip_sided")}
    if "input_scale" in pixels:
        pixels["scale"] = pixels.pop("input_scale")
    test_pixels: dict[str, Any] = {
        name: pixels[name] for name in ("interpolation", "mean", "std", "scale") if name in pixels
    }
    if protocol:
        test_pixels |= {name: how for name in ("resize", "crop_rule") if (how := getattr(protocol, name)) is not None}
    real, compressed = SCALES[training.scale].real, data.modalities is not None
    cache = None if real else SHARED
    folder = SyntheticFolder if facts.synthetic else VideoFolder
    where = facts.video_arguments(
        data.split, data.limit_train, data.limit_test, subset=data.subset, whole=root is not None
    )
    if not facts.synthetic:
        where["quarantine"] = settings.quarantine(data.dataset)
    return build_data(
        data.dataset,
        module=facts.module if videos is None else FOLDER,
        videos=folder(root, **where) if videos is None else videos,  # type: ignore[arg-type]
        frames=CompressedFrames(data.modalities, motion=data.motion, cache=cache)
        if data.modalities
        else DecodedFrames(cache),
        # no stride where data.sampling is segments
        sampling=ClipSampling(data.num_frames, data.stride, data.starts, data.frames),
        views=TestViews(protocol.clips, protocol.clip_sampling, protocol.frames) if protocol else TestViews(),
        loading=Loading(
            batch_size=batches.batch_size,
            num_workers=settings.num_workers if real else 0,
            eval_batch_size=1 if real else 8,
            share=share_of(batches),
        ),
        train_transform=(TrainModalities if compressed else TrainTransform)(size=data.size, **pixels),
        test_transform=(TestModalities if compressed else TestTransform)(
            size=data.size,
            short_side=protocol.short_side if protocol else size,
            crops=protocol.crops if protocol else validation.crops if validation else 1,
            **test_pixels,
        ),
        flip=float(augment.flip),
        **({"flip_sided": False} if augment.flip_sided == "never" else {}),
        **({"missing": settings.missing} if settings.missing != Settings.missing else {}),
        validate_on=(validation.holdout or "test") if validation else None,
        seed=protocol.clip_seed if protocol and protocol.clip_seed is not None else training.seed,
    )


def about_files(data: VideoData, entries: Sequence[Entry]) -> dict[str, str]:
    """How the videos are coded, and how they were made where `data prepare` made them; nothing of synthetic ones."""
    if not isinstance(data.videos, VideoFolder) or isinstance(data.videos, SyntheticFolder):
        return {}
    prepared = read_prepared(data.videos.root)
    return {"data_files": sample_of_codings(entries)} | ({"data_encoding": prepared.text} if prepared else {})


def make_synthetic_videos(training: Training, settings: Settings, evaluations: Sequence[Evaluation]) -> None:
    """Make the synthetic videos that a training and its evaluations will read, where they are not there yet."""
    batches = test_batches(training, settings.engine)  # nothing is read
    if training.dataset.synthetic:
        data_module(training, settings, batches).setup()
    for evaluation in evaluations:
        if evaluation.dataset.synthetic and evaluation.data != training.data:
            data_module(training, settings, batches, evaluation=evaluation).setup()
