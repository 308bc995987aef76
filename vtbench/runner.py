"""One training or one evaluation, top to bottom: build, load, train, evaluate. The only place that sees both sides.

The paper side says what (frozen Trainings and Evaluations), the tensor side does it (plain keyword arguments); of the
rest of vtbench only networks.py and speed.py know both. Many trainings, in order and side by side, are launch.py's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
import math
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from vtbench import provenance
from vtbench.datasets import build_data
from vtbench.datasets.triplets import SILENT
from vtbench.errors import DataError, ResultsError, RunError, SpecError, VtbenchError, WeightsError, in_one_line
from vtbench.evaluation import METRICS
from vtbench.evaluation.metrics import accuracy, coverage
from vtbench.journals import BestEpoch, EpochJournal, Progress, TestJournal, no_progress, save_network
from vtbench.methods import build_method
from vtbench.methods.base import VideoClassifier
from vtbench.naming import guarded, load
from vtbench.networks import build_audio_encoder, build_network
from vtbench.papers.datasets import NO_FLIP, Dataset, load_dataset, wrong_split
from vtbench.papers.recipe import METHOD_OPTIONS, Data
from vtbench.papers.signatures import called
from vtbench.papers.trainings import Evaluation, Training
from vtbench.results import folders
from vtbench.settings import Settings
from vtbench.weights import HOSTED, hosted_file, load_weights, sha256_of
from vtbench.weights.vggish import load_vggish

ERROR = "error.txt"


# ---- training --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batches:
    """How one optimiser step is made of forward passes, and the learning rate that goes with it."""

    batch_size: int
    accumulate: int
    lr: float


def split_batch(training: Training, micro_batch: int | None) -> Batches:
    """The spec's effective batch in forward passes of `micro_batch` clips (None: as the spec says).

    The effective batch stays as near to the spec's as whole passes allow, and the learning rate follows it linearly
    (the official TokenShift configs: "using linear-scale rule to adjust this value").
    """
    train = training.train
    if micro_batch is None or micro_batch == train.batch_size:
        return Batches(train.batch_size, train.accumulate, train.lr)
    accumulate = max(1, round(train.effective_batch / micro_batch))
    return Batches(micro_batch, accumulate, train.lr * micro_batch * accumulate / train.effective_batch)


def train(training: Training, settings: Settings, progress: Progress = no_progress) -> Path:
    """Train, or continue, or do nothing if it is done; gives the run folder with the weights.

    A training that was broken off goes on after its last whole epoch and ends with the numbers it would have had.
    Raises a VtbenchError that names the file at fault.
    """
    folder = folders.training_folder(settings.results, training.key)
    with folders.locked(folder):
        if not folders.is_trained(folder):
            with _calm(folder):
                _train(training, settings, progress, folder)
    return folder


def _train(training: Training, settings: Settings, progress: Progress, folder: Path) -> None:
    _one_thread_below_paper_scale(training)
    folders.write_json(folder / folders.CONFIG, dataclasses.asdict(training))
    L.seed_everything(training.seed, workers=True, verbose=False)
    data = _data_module(training.data, training, settings)
    data.setup()  # both lists: a test list that is not there should be told before the training, not after it
    network = build_network(training)
    init_sha256 = _initialise(network, training, settings)
    batches = split_batch(training, settings.batch_size)
    recipe = dataclasses.asdict(training.train)
    options = {name: recipe[name] for name in METHOD_OPTIONS if recipe[name] is not None}
    if encoder := audio_encoder(training.data, settings):
        options["audio_encoder"] = encoder
    method = _method(training.train.method, network, {"lr": batches.lr, **options})
    journal = EpochJournal(
        folder,
        seed=training.seed,
        epochs=training.train.epochs,
        batch_size=batches.batch_size,
        data_fingerprint=data.fingerprint("train"),
        progress=progress,
    )
    best = BestEpoch(folder, data.fingerprint("test")) if training.train.keep == "best_on_test" else None
    last = folder / folders.CHECKPOINT
    logger = _train_logger(training, settings, folder)
    trainer = L.Trainer(
        max_epochs=training.train.epochs,
        accumulate_grad_batches=batches.accumulate,
        gradient_clip_val=training.train.clip_grad_norm,
        precision=training.train.precision,
        callbacks=[journal, best] if best else [journal],
        limit_val_batches=1.0 if best or data.holdout else 0,
        logger=logger,
        **_quiet_trainer(training, folder),
    )
    _refuse_damaged(last)
    try:
        trainer.fit(method, data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    finally:
        if logger:
            logger.experiment.finish()  # the next training of this process is a run of its own
    if trainer.interrupted or trainer.current_epoch < training.train.epochs:
        raise RunError(
            f"{folder}: broken off after {trainer.current_epoch} of {training.train.epochs} epochs; "
            "run again to continue"
        )
    if best:
        load_weights(network, best.path, expect_head=True)
    else:
        method.finish(data, trainer.strategy.root_device)
    folders.replace_file(folder / folders.WEIGHTS, lambda half: save_network(network, half))
    folders.write_json(
        folder / folders.DONE,
        {
            "training_key": training.key,
            "epochs": training.train.epochs,
            "batch_size": batches.batch_size,
            "accumulate": batches.accumulate,
            "lr": batches.lr,
            "wall_s": round(journal.elapsed_s, 3),
            "init_sha256": init_sha256,
            "vggish_sha256": _vggish_sha256(training.data, settings),
            "weights_sha256": sha256_of(folder / folders.WEIGHTS),
            "videos": len(data.train_entries),
            "videos_silent": data.silent_train_videos,
            "data_fingerprint": journal.data_fingerprint,
            **({"kept_epoch": best.epoch, "kept_top1": best.top1, "kept_failures": best.failures} if best else {}),
            **provenance.environment(),
        },
    )
    last.unlink(missing_ok=True)  # optimiser state: needed to continue, and there is nothing left to continue
    (folder / folders.BEST).unlink(missing_ok=True)
    (folder / ERROR).unlink(missing_ok=True)


def _method(name: str, network: torch.nn.Module, options: dict[str, Any]) -> VideoClassifier:
    """The method around its network. Raises SpecError where a method of the user's own does not take the options."""
    with guarded(name, "method", "change its __init__ or the train block"):
        return build_method(name, network, **options)


def _refuse_damaged(checkpoint: Path) -> None:
    """ResultsError for a checkpoint that a training cannot be continued from; a missing one is in order."""
    if not checkpoint.exists():
        return
    try:
        torch.load(checkpoint, map_location="meta", weights_only=True, mmap=True)
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        raise ResultsError(
            f"{checkpoint}: cannot be read, so the training cannot be continued; remove it to train from the start"
        ) from error


# ---- evaluation ------------------------------------------------------------------------------------------------------


def evaluate(
    evaluation: Evaluation, settings: Settings, progress: Progress = no_progress, *, checkpoint: Path | None = None
) -> dict[str, Any]:
    """Test a finished training, or the weights in `checkpoint`, by the evaluation's protocol; gives what was measured.

    The content of the run folder's done.json: metrics in percent against the videos expected, coverage, where it came
    from, and what became of every key of the weights (`loaded`). A video that cannot be read counts as a miss and is
    listed with its reason.
    """
    trained = folders.training_folder(settings.results, evaluation.training.key)
    sha256 = sha256_of(checkpoint) if checkpoint else ""
    key = given_weights_key(evaluation, sha256) if checkpoint else evaluation.key
    folder = folders.evaluation_folder(settings.results, key)
    if folders.is_done(folder):
        done = dict(folders.read_json(folder / folders.DONE))
        if not checkpoint:
            return done
        # Given weights are tested on what is there now, not on what was there when they were tested before.
        data = _data_module(evaluation.data, evaluation.training, settings, evaluation=evaluation)
        if data.fingerprint("test") == done["data_fingerprint"]:
            return done
        folders.set_aside(folder)
    network = build_network(evaluation.training)
    # Before there is a run folder: a file that does not fit leaves none behind.
    loaded = load_weights(network, checkpoint or trained / folders.WEIGHTS, expect_head=True)
    origin = {
        "loaded": str(loaded),
        "evaluation_key": key,
        "training_key": f"file:{sha256[:12]}" if checkpoint else evaluation.training.key,
        "weights_sha256": sha256 or folders.read_json(trained / folders.DONE)["weights_sha256"],
    }
    with folders.locked(folder):
        if not folders.is_done(folder):
            with _calm(folder):
                _evaluate(evaluation, settings, progress, folder, network, origin)
        return dict(folders.read_json(folder / folders.DONE))


def _evaluate(
    evaluation: Evaluation,
    settings: Settings,
    progress: Progress,
    folder: Path,
    network: torch.nn.Module,
    origin: dict[str, str],
) -> None:
    training = evaluation.training
    _one_thread_below_paper_scale(training)
    L.seed_everything(training.seed, workers=True, verbose=False)
    data = _data_module(evaluation.data, training, settings, evaluation=evaluation)
    method = VideoClassifier(network, audio_encoder=audio_encoder(evaluation.data, settings))
    tested = {"weights_sha256": origin["weights_sha256"], "data_fingerprint": data.fingerprint("test")}
    journal = TestJournal(folder, tested, progress)
    folders.write_json(folder / folders.CONFIG, {**dataclasses.asdict(evaluation), **tested})
    data.tested = journal.labels.keys()
    started = time.monotonic()
    trainer = L.Trainer(callbacks=[journal], logger=False, **_quiet_trainer(training, folder))
    trainer.test(method, data, verbose=False)
    views = evaluation.eval.clips * evaluation.eval.crops
    expected = len(data.test_entries)
    view_scores, labels_of, remarks = journal.all(method)
    if len(labels_of) < len({entry.video_id for entry in data.test_entries}):
        raise RunError(
            f"data module {load_dataset(evaluation.data.dataset).module}: {len(labels_of)} of {expected} test videos "
            "were tested; its test_dataloader must give every video of test_entries, readable or not"
        )
    if method.failures and len(method.failures) == len(labels_of):
        name, reason = next(iter(method.failures.items()))
        raise RunError(
            f"{data.root}: none of {expected} test videos could be read, so nothing was measured; the first: {name}: "
            f"{reason}; check the folder given with --data {evaluation.data.dataset}=PATH"
        )
    seen = coverage(expected, len(labels_of) - len(method.failures))
    names, scores = view_scores.video_scores(views, average=evaluation.eval.average)
    labels = torch.tensor([labels_of[name] for name in names], dtype=torch.int64)
    folders.replace_file(folder / folders.SCORES, lambda half: view_scores.save(half, labels=labels_of))
    metrics = accuracy(scores, labels, expected=expected)
    metrics |= _own_metrics(evaluation, scores, labels, list(labels_of.values()))
    done = {
        **origin,
        "metrics": metrics,
        "views": views,
        **seen,
        "videos_silent": list(remarks.values()).count(SILENT) if data.sound and journal.all_remarks else None,
        "failures": method.failures,
        "remarks": remarks,
        "wall_s": round(time.monotonic() - started, 3),
        "data_fingerprint": tested["data_fingerprint"],
        "finished_at": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **provenance.environment(),
    }
    folders.write_json(folder / folders.DONE, done)
    journal.remove_parts()
    (folder / ERROR).unlink(missing_ok=True)


def _own_metrics(
    evaluation: Evaluation, scores: torch.Tensor, labels: torch.Tensor, expected_labels: list[int]
) -> dict[str, float]:
    """What `eval.metrics` asks for. Raises RunError for a metric that fails or gives no finite number."""
    measured = {}
    for name in evaluation.eval.metrics or ():
        with guarded(name, "metric", "repair it and give the same command again", RunError):
            value = float(load(name, METRICS, "metric")(scores, labels, expected_labels=expected_labels))
        if not math.isfinite(value):
            raise RunError(f"metric {name}: gave {value}, a finite number is wanted")
        measured[called(name)] = value
    return measured


def given_weights_key(evaluation: Evaluation, sha256: str) -> str:
    """The key of an evaluation of weights that no training of ours made: the protocol's key and the weights' hash."""
    return f"{evaluation.key}-{sha256[:12]}"


def prepare(training: Training, settings: Settings, evaluations: Sequence[Evaluation]) -> None:
    """Make the synthetic videos that a training and its evaluations will read, where they are not there yet."""
    for data in {training.data, *(evaluation.data for evaluation in evaluations)}:
        if load_dataset(data.dataset).synthetic:
            _data_module(data, training, settings).setup()


# ---- the parts -------------------------------------------------------------------------------------------------------


def _videos(data: Data, settings: Settings) -> dict[str, Any]:
    """Where the videos are and how many of them to use, as arguments of a data module.

    A synthetic set without a folder of its own lies below `data/` and is made as small as it is asked for. Raises
    DataError, with the option to give, for a real data set without a folder.
    """
    facts, root = load_dataset(data.dataset), settings.data.get(data.dataset)
    limits = {"limit_train": data.limit_train, "limit_test": data.limit_test}
    if wrong := wrong_split(facts, data.split):
        raise DataError(f"data.split {wrong}")
    if data.split is not None:
        limits["split"] = data.split
    if not facts.synthetic:
        if root is None:
            raise DataError(
                f"the data set '{data.dataset}' has no folder: give --data {data.dataset}=PATH, or "
                f"data: {{{data.dataset}: PATH}} in vtbench.yaml"
            )
        return {"root": root, "class_names": facts.classes, **limits}
    if root is not None:
        return {"root": root, **_numbers(facts, None, None), **limits}
    return {"root": None, **_numbers(facts, data.limit_train, data.limit_test)}


def _numbers(facts: Dataset, train: int | None, test: int | None) -> dict[str, int]:
    return {"num_train": facts.num_videos("train", train), "num_test": facts.num_videos("test", test)}


def _data_module(data: Data, training: Training, settings: Settings, *, evaluation: Evaluation | None = None) -> Any:
    facts = load_dataset(data.dataset)
    if training.augment.flip and not facts.flip_allowed:
        raise SpecError(f"augment.flip is {training.augment.flip}: {NO_FLIP.format(data.dataset)}")
    protocol = evaluation.eval if evaluation else None
    crops = protocol.crops if protocol else 3 if training.train.keep == "best_on_test" else 1
    # Held-out videos are seen at the size that is trained on, where they are the only ones that a training tests.
    size = training.augment.short_side[0] if training.train.holdout else data.size
    arguments = {
        **_videos(data, settings),
        "num_classes": facts.num_classes,
        "num_frames": data.num_frames,
        "stride": data.stride,  # None where data.sampling is segments
        "size": data.size,
        "augment": dataclasses.asdict(training.augment),
        "flip_labels": facts.flip_labels,
        "batch_size": split_batch(training, settings.batch_size).batch_size,
        "num_workers": settings.num_workers if training.scale == "paper" else 0,
        "seed": protocol.clip_seed if protocol and protocol.clip_seed is not None else training.seed,
        "clips": protocol.clips if protocol else 1,
        "crops": crops,
        "clip_sampling": protocol.clip_sampling if protocol else "uniform",
        "short_side": protocol.short_side if protocol else size,
        "cache": training.scale != "paper",
        "eval_batch_size": 1 if training.scale == "paper" else 8,
        "modalities": data.modalities,
        "motion": data.motion,
        "holdout": training.train.holdout,
    }
    with guarded(facts.module, "data module", "change its __init__"):
        return build_data(data.dataset, module=facts.module, **arguments)


def _initialise(network: torch.nn.Module, training: Training, settings: Settings) -> str | None:
    """Load what the training starts from; gives the SHA-256 of that file, None for random weights."""
    start = training.init
    if start.training is not None:
        path = folders.training_folder(settings.results, start.training.key) / folders.WEIGHTS
    elif start.weights is not None:
        path = weights_file(start.weights, settings)
    else:
        return None
    load_weights(network, path)
    return sha256_of(path)


def audio_encoder(data: Data, settings: Settings) -> torch.nn.Module | None:
    """What turns the sound of clips into features, where they have any, with the weights given as `vggish` where it is
    VGGish. It is never trained. Raises WeightsError."""
    encoder = build_audio_encoder(data)
    if encoder is not None and data.audio_encoder == "vggish":
        load_vggish(encoder, weights_file(data.audio_encoder, settings))
    return encoder


def _vggish_sha256(data: Data, settings: Settings) -> str | None:
    return sha256_of(weights_file("vggish", settings)) if data.audio_encoder == "vggish" else None


def weights_file(name: str, settings: Settings) -> Path:
    """The file of named weights: the one given, else downloaded where the name has a pinned release.

    Raises WeightsError, with the option to give, when there is neither.
    """
    if name in settings.weights:
        return settings.weights[name]
    if name in HOSTED:
        return hosted_file(name)
    raise WeightsError(
        f"the weights '{name}' have no file: give --weights {name}=FILE (`vtbench show` says which the paper used), "
        f"or weights: {{{name}: FILE}} in vtbench.yaml"
    )


def can_download(name: str) -> bool:
    """Whether the named weights need no file of the user's."""
    return name in HOSTED


def _one_thread_below_paper_scale(training: Training) -> None:
    """Small networks gain nothing from threads, and with one the numbers do not depend on the machine's cores."""
    if training.scale != "paper":
        torch.set_num_threads(1)


def _quiet_trainer(training: Training, folder: Path) -> dict[str, Any]:
    """What every Trainer here has in common: vtbench draws its own progress and keeps its own checkpoints."""
    return {
        "accelerator": "auto" if training.scale == "paper" else "cpu",
        "devices": 1,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "num_sanity_val_steps": 0,
        "default_root_dir": folder,
        "use_distributed_sampler": False,
    }


@contextlib.contextmanager
def _calm(folder: Path) -> Iterator[None]:
    """Keep Lightning's notices out of the display; tell an error that is not ours in one line, with its traceback kept
    in the folder. Ctrl-C and SIGTERM come out as KeyboardInterrupt."""
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning(\.|$)")
            warnings.filterwarnings(
                "ignore",
                message=r".*(does not have many workers|LeafSpec|GPU available but not used|create .* worker).*",
            )
            yield
    except VtbenchError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, SIGTERMException) or _is_ctrl_c(error):
            raise KeyboardInterrupt from None
        log = folder / ERROR
        with contextlib.suppress(OSError):
            log.write_text(traceback.format_exc())
        raise RunError(f"{folder}: {in_one_line(error)} (traceback in {log})") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _is_ctrl_c(error: BaseException) -> bool:
    """Whether it is the SystemExit that Lightning makes of Ctrl-C, not one of the code that ran."""
    return isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt)


def _train_logger(training: Training, settings: Settings, folder: Path) -> Any:
    if settings.wandb == "off":
        return False
    from vtbench.dashboard import train_logger

    return train_logger(training, settings.wandb, folder)
