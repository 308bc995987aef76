from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import encoded
import lightning
import numpy as np
import pytest
import torch
from datamodules import video_data

from vtbench.datasets import DATASETS, build_data, synthetic
from vtbench.datasets.cache import FileCache
from vtbench.datasets.clips import ClipSampling, EpochSampler, Loading, TestViews
from vtbench.datasets.manifests import Entry, VideoFolder, VideoLists, read_manifest
from vtbench.datasets.module import VideoData
from vtbench.datasets.quarantine import Quarantine, Quarantined
from vtbench.errors import DataError, UsageError
from vtbench.video import sampling, transforms
from vtbench.video.decode import VideoReader

AUGMENT = {
    "short_side": [34, 40],
    "flip": 0.5,
    "color": 0.5,
    "brightness": [0.5, 2.0],
    "saturation": [0.5, 3.0],
    "gamma": [0.8, 1.2],
    "hue": [-0.5, 0.5],
    "interpolation": "bicubic",
    "mean": 0.5,
    "std": 0.5,
}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small cycle set; not to be changed."""
    return synthetic.generate(tmp_path_factory.mktemp("cycle") / "set", "cycle", num_train=10, num_test=4)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it in Kinetics layout, to be changed at will."""
    shutil.copytree(made, tmp_path / "videos")
    return tmp_path / "videos"


def data(root: Path, name: str = "kinetics400", **changes: Any) -> VideoData:
    return video_data(name, **({"root": root, "num_classes": 4, "augment": AUGMENT} | changes))


def epoch(module: VideoData, number: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    module.set_epoch(number)
    batches = list(module.train_dataloader())
    return torch.cat([clips for clips, _ in batches]), torch.cat([labels for _, labels in batches])


def equal(a: tuple[torch.Tensor, torch.Tensor], b: tuple[torch.Tensor, torch.Tensor]) -> bool:
    return torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


# -- training ---------------------------------------------------------------------------------------------------------


def test_training_batches_have_the_promised_shapes_and_types(folder: Path) -> None:
    batches = list(data(folder).train_dataloader())
    assert [len(labels) for _, labels in batches] == [4, 4]  # 10 videos: the smaller last batch is left out
    for clips, labels in batches:
        assert clips.shape == (4, 8, 3, 32, 32)
        assert clips.dtype == torch.float32
        assert labels.dtype == torch.int64
        assert clips.min() >= -1
        assert clips.max() <= 1
    [(clips, _)] = data(folder, batch_size=64).train_dataloader()
    assert len(clips) == 10


def test_items_depend_on_seed_epoch_and_index_alone(folder: Path) -> None:
    reference = epoch(data(folder), 1)
    assert equal(epoch(data(folder), 1), reference)
    assert not equal(epoch(data(folder), 2), reference)
    assert not equal(epoch(data(folder, seed=1), 1), reference)
    assert equal(epoch(data(folder, cache=FileCache()), 1), reference)
    module = data(folder)
    for number in (0, 1):  # having run another epoch before changes nothing
        again = epoch(module, number)
    assert equal(again, reference)


def test_number_of_workers_changes_nothing(folder: Path) -> None:
    alone, helped = data(folder), data(folder, num_workers=2)
    loader = helped.train_dataloader()  # long-lived workers must follow the epoch
    for number in (0, 1):
        helped.set_epoch(number)
        batches = list(loader)
        assert equal((torch.cat([c for c, _ in batches]), torch.cat([y for _, y in batches])), epoch(alone, number))
    views = [[item["views"] for batch in m.test_dataloader() for item in batch] for m in (alone, helped)]
    assert all(torch.equal(a, b) for a, b in zip(*views, strict=True))


def test_an_epoch_is_every_video_once(folder: Path) -> None:
    sampler = EpochSampler(10, seed=0)
    orders = []
    for number in range(3):
        sampler.set_epoch(number)
        keys = list(sampler)
        assert {e for e, _ in keys} == {number}
        assert sorted(i for _, i in keys) == list(range(10))
        orders.append(tuple(i for _, i in keys))
    assert len(set(orders)) == 3


def test_training_clip_is_sampling_then_transform(folder: Path) -> None:
    module = data(folder, flip_labels=synthetic.FLIP_LABELS["cycle"])
    dataset = module.train_dataloader().dataset
    flipped = 0
    for index in range(10):
        clip, label = dataset[3, index]
        entry = module.train_entries[index]
        rng = np.random.default_rng([0, 1, 3, index])
        with VideoReader(entry.file) as reader:
            numbers = sampling.train_clip(reader.num_frames, num_frames=8, stride=4, rng=rng)
            frames = torch.from_numpy(reader.frames(numbers)).permute(0, 3, 1, 2)
        flip = rng.random() < 0.5
        flipped += flip
        transform = transforms.TrainTransform(size=32, **{k: v for k, v in AUGMENT.items() if k != "flip"})
        assert torch.equal(clip, transform(frames, flip=flip, rng=rng))
        assert label == ({0: 1, 1: 0, 2: 3, 3: 2}[entry.label] if flip else entry.label)
    assert 0 < flipped < 10


def test_flip_probability_and_label_change_hold(folder: Path) -> None:
    rule = synthetic.FLIP_LABELS["cycle"]
    for probability, expected in ((0.0, [0, 1, 2, 3]), (1.0, [1, 0, 3, 2])):
        module = data(folder, flip_labels=rule, augment=AUGMENT | {"flip": probability})
        dataset = module.train_dataloader().dataset
        assert [dataset[0, i][1] for i in range(4)] == expected
    harmless = data(folder, augment=AUGMENT | {"flip": 1.0}).train_dataloader().dataset
    assert [harmless[0, i][1] for i in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="twice"):
        data(folder, flip_labels={0: 1})


def test_clips_whose_label_a_flip_changes_can_be_left_as_they_are(folder: Path) -> None:
    rule = {0: 1, 1: 0}
    module = data(folder, flip_labels=rule, augment=AUGMENT | {"flip": 1.0})
    module.flip_sided = False
    dataset = module.train_dataloader().dataset
    flipped = []
    dataset.transform = lambda frames, *, flip, rng: flipped.append(flip)
    assert [dataset[0, i][1] for i in range(4)] == [0, 1, 2, 3]
    assert flipped == [False, False, True, True]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_training_goes_on_without_a_broken_video_and_nothing_takes_its_place(folder: Path, num_workers: int) -> None:
    whole = data(folder, batch_size=2)
    order = [index for _, index in EpochSampler(10, seed=0)]
    expected = epoch(whole)
    (folder / "train" / "00003.mp4").write_bytes(b"not a video")
    notices: list[str] = []
    module = data(folder, batch_size=2, num_workers=num_workers, missing=0.1)
    module.notice = notices.append
    clips, labels = epoch(module)
    left = [place for place, index in enumerate(order) if index != 3]
    assert equal((clips, labels), (expected[0][left], expected[1][left])), "the other clips are as they were"
    assert list(module.unreadable) == ["train/00003.mp4"] and "invalid data" in module.unreadable["train/00003.mp4"]
    module.set_epoch(1)
    assert sum(len(labels) for _, labels in module.train_dataloader()) == 9
    assert len(notices) == 2, "once a pass over a new loader"
    again = module.train_dataloader()
    notices.clear()
    _ = [list(again), list(again)]
    assert len(notices) == 1 and notices[0].startswith("trains without train/00003.mp4: "), "once each"


def test_what_several_processes_cannot_read_counts_together(folder: Path) -> None:
    found = [{f"train/0000{number}.mp4": "no video"} for number in (3, 5)]
    for missing, refused in ((0.2, False), (0.1, True)):
        module = data(folder, missing=missing)
        module.train_dataloader()
        module.unreadable = found[0]
        told = pytest.raises(DataError, match=r"2 of 10 videos to train on cannot be used.*--missing 0\.2$")
        with told if refused else contextlib.nullcontext():
            module.gather(lambda mine: [mine, (found[1], None)])
        assert module.unreadable == found[0] | found[1]


def test_what_was_not_to_be_read_before_a_run_resumes_counts_after_it(folder: Path) -> None:
    before = data(folder, missing=0.2)
    before.unreadable = {f"train/0000{number}.mp4": "no video" for number in (3, 5)}
    state = before.state_dict()
    for missing, refused in ((0.2, False), (0.1, True)):
        module = data(folder, missing=missing)
        module.load_state_dict(state)
        told = pytest.raises(DataError, match=r"2 of 10 videos to train on cannot be used.*no video")
        with told if refused else contextlib.nullcontext():
            module.train_dataloader()


def test_a_batch_of_which_no_video_can_be_read_has_no_clips(folder: Path) -> None:
    (folder / "train" / "00003.mp4").write_bytes(b"not a video")
    batches = list(data(folder, batch_size=1, missing=0.1).train_dataloader())
    assert len(batches) == 10 and [len(labels) for clips, labels in batches if clips is None] == [0]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_beyond_the_quota_training_ends_with_the_videos_so_far(folder: Path, num_workers: int) -> None:
    for name in ("00003", "00005"):
        (folder / "train" / f"{name}.mp4").write_bytes(b"not a video")
    (folder / "train" / "00007.mp4").unlink()
    expected = (
        r"3 of 10 videos to train on .*00007\.mp4: no such file; .*0000[35]\.mp4: invalid.*0000[35].* --missing 0\.3"
    )
    with pytest.raises(DataError, match=expected) as caught:
        list(data(folder, num_workers=num_workers, missing=0.2).train_dataloader())
    assert len(str(caught.value).splitlines()) == 1


def test_missing_videos_under_the_quota_are_left_out_and_listed(folder: Path) -> None:
    (folder / "train" / "00007.mp4").unlink()
    (folder / "validation" / "00002.mp4").unlink()
    with pytest.raises(DataError, match=r"1 of 10 videos to train on .*train\.csv:9: .*00007\.mp4: no such file"):
        data(folder).setup("fit")
    with pytest.raises(DataError, match=r"1 of 4 videos to test on"):
        data(folder, missing=0.1).setup()
    module = data(folder, missing=0.25, validate_on=0.3)
    module.setup()
    assert list(module.lacking("train")) == ["train/00007.mp4"]
    used = [entry.video_id for entry in (*module.train_entries, *module.holdout_entries)]
    assert len(used) == 9 and "train/00007.mp4" not in used
    items = [item for batch in module.test_dataloader() for item in batch]
    assert len(items) == 4
    assert [item["video_id"] for item in items if "error" in item] == ["validation/00002.mp4"], "a miss of the test"
    assert module.fingerprint("train") != data(folder.parent / "videos", limit_train=9).fingerprint("train")


def test_a_video_in_both_lists_is_refused(folder: Path) -> None:
    with (folder / "train.csv").open("a") as file:
        file.write("validation/00001.mp4,1\n")
    with pytest.raises(DataError, match=r"train\.csv:12: 'validation/00001\.mp4' .* test on at .*validation\.csv:3"):
        data(folder).setup()
    data(folder).setup("test")


@pytest.mark.parametrize("spelling", ["./validation/00000.mp4", "validation/../validation/00000.mp4", "absolute"])
def test_a_test_video_under_another_spelling_is_the_same(folder: Path, spelling: str) -> None:
    path = str(folder / "validation" / "00000.mp4") if spelling == "absolute" else spelling
    before = (folder / "train.csv").read_text()
    (folder / "train.csv").write_text(f"{before}{path},0\n")
    with pytest.raises(DataError, match="is listed to train on, and to test on"):
        data(folder).setup()
    (folder / "train.csv").write_text(before)
    with (folder / "validation.csv").open("a") as file:
        file.write(f"{path},0\n")
    with pytest.raises(DataError, match=r"is listed twice; first at .*validation\.csv:2"):
        data(folder).setup()


def test_a_training_of_which_no_video_can_be_read_says_so(folder: Path) -> None:
    for file in (folder / "train").glob("*.mp4"):
        file.write_bytes(b"no video")
    with pytest.raises(DataError, match=r"no video to train on can be read; the last: .*invalid data"):
        list(data(folder, missing=1.0, batch_size=2).train_dataloader())


@pytest.mark.parametrize("label", ["1_0", "٣", "1.0", "+1"])
def test_a_label_is_digits(folder: Path, label: str) -> None:
    (folder / "train.csv").write_text(f"path,label\ntrain/00000.mp4,{label}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.csv:2: this data set has no class"):
        data(folder).setup("fit")


def test_a_path_that_no_file_can_have_is_missing(folder: Path) -> None:
    (folder / "train.csv").write_text(f"path,label\n{'x' * 300}.mp4,0\n")
    with pytest.raises(DataError, match=r"train\.csv:2: .*File name too long; complete"):
        data(folder).setup("fit")


def test_quarantined_videos_count_as_missing_until_their_file_changes(folder: Path) -> None:
    file = folder / "train" / "00004.mp4"
    quarantine = folder / "quarantine.csv"
    status = file.stat()
    bad = Quarantined(str(file), status.st_size, status.st_mtime_ns, "is cut\nshort")
    Quarantine((bad,)).write(quarantine)
    module = data(folder, quarantine=quarantine, missing=0.1)
    assert list(module.lacking("train").values()) == [f"{folder / 'train.csv'}:6: {file}: in quarantine: is cut short"]
    assert len(module.train_entries) == 9
    file.write_bytes(file.read_bytes() + b"\0")
    assert len(data(folder, quarantine=quarantine).train_entries) == 10
    quarantine.write_text("path,label\n")
    with pytest.raises(DataError, match=r"quarantine\.csv:1: the header must be file,size,changed,reason"):
        data(folder, quarantine=quarantine).setup()


# -- testing ----------------------------------------------------------------------------------------------------------


def test_thirty_views_come_from_one_decode(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encoded.encode(folder / "long.mp4", encoded.numbered(200), options=encoded.x264(250), sound=True)
    (folder / "validation.csv").write_text("path,label\nlong.mp4,2\n")
    decoded = []
    close = VideoReader.close

    def counting(self: VideoReader) -> None:
        decoded.append(self.frames_decoded)
        self.frames_decoded = 0
        close(self)

    monkeypatch.setattr(VideoReader, "close", counting)
    [[item]] = data(folder, clips=10, crops=3, stride=16).test_dataloader()
    assert 0 < sum(decoded) <= 200
    assert item["views"].shape == (30, 8, 3, 32, 32)
    assert (item["video_id"], item["label"]) == ("long.mp4", 2)
    # View v is crop v % 3 of clip v // 3.
    transform = transforms.TestTransform(size=32, short_side=32, crops=3)
    clips = sampling.test_clips(200, num_frames=8, stride=16, clips=10)
    with VideoReader(path) as reader:
        for clip in (0, 4, 9):
            frames = torch.from_numpy(reader.frames(clips[clip])).permute(0, 3, 1, 2)
            assert torch.equal(item["views"][3 * clip : 3 * clip + 3], transform(frames))


def test_test_items_are_the_manifest_in_order(folder: Path) -> None:
    for size in (1, 3):
        module = data(folder, clips=2, eval_batch_size=size)
        batches = list(module.test_dataloader())
        assert [len(b) for b in batches] == ([1] * 4 if size == 1 else [3, 1])
        items = [item for batch in batches for item in batch]
        assert [(i["video_id"], i["label"]) for i in items] == [(f"validation/0000{n}.mp4", n) for n in range(4)]
        assert all(item["views"].shape == (2, 8, 3, 32, 32) for item in items)


@pytest.mark.parametrize("cache", [None, FileCache()])
def test_an_unreadable_test_video_is_an_error_item(folder: Path, cache: FileCache | None) -> None:
    module = data(folder, cache=cache)
    module.setup()
    (folder / "validation" / "00001.mp4").write_bytes(b"not a video")
    (folder / "validation" / "00002.mp4").unlink()  # gone after the check
    items = [item for batch in module.test_dataloader() for item in batch]
    assert len(items) == 4
    assert ["views" in item for item in items] == [True, False, False, True]
    assert items[1].keys() == {"video_id", "label", "error"}
    assert "00001.mp4" in items[1]["error"]
    assert "00002.mp4: no such file" in items[2]["error"].lower()


def test_random_test_clips_repeat_with_the_seed(folder: Path) -> None:
    def views(seed: int) -> torch.Tensor:
        module = data(folder, clips=3, clip_sampling="random", seed=seed)
        return torch.stack([item["views"] for batch in module.test_dataloader() for item in batch])

    assert torch.equal(views(0), views(0))
    assert not torch.equal(views(0), views(1))


def test_random_test_clips_depend_on_the_videos_id_and_not_on_its_place(folder: Path) -> None:
    def views() -> dict[str, torch.Tensor]:
        module = data(folder, clips=3, clip_sampling="random")
        return {item["video_id"]: item["views"] for batch in module.test_dataloader() for item in batch}

    before = views()
    lines = (folder / "validation.csv").read_text().splitlines()
    (folder / "validation.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    after = views()
    assert list(after) == list(reversed(before)) and len(after) > 1
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_item_says_how_many_of_its_views_differ(folder: Path) -> None:
    encoded.encode(folder / "short.mp4", encoded.numbered(9), options=encoded.x264(12))
    (folder / "validation.csv").write_text("path,label\nshort.mp4,0\n")
    [[item]] = data(folder, clips=4, stride=1).test_dataloader()
    assert len(item["views"]) == 4 and item["distinct_views"] == 2  # clips of 8 frames start at 0, 1, 1, 1


def test_a_video_shorter_than_the_clip_wraps_round(folder: Path) -> None:
    encoded.encode(folder / "short.mp4", encoded.numbered(5), options=encoded.x264(12))
    (folder / "validation.csv").write_text("path,label\nshort.mp4,0\n")
    [[item]] = data(folder, stride=1).test_dataloader()
    numbers = sampling.test_clips(5, num_frames=8, stride=1, clips=1)[0].tolist()
    assert numbers == [0, 1, 2, 3, 4, 0, 1, 2]
    view = item["views"][0]
    assert torch.equal(view[5:], view[:3])
    assert not torch.equal(view[0], view[1])


# -- caching ----------------------------------------------------------------------------------------------------------


def test_cached_videos_are_decoded_once_for_all_epochs_and_modules(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, opened = FileCache(), []
    init = VideoReader.__init__
    monkeypatch.setattr(VideoReader, "__init__", lambda self, path: (opened.append(path), init(self, path))[1])
    for seed in (0, 1):
        module = data(folder, cache=cache, seed=seed, batch_size=10)
        for number in (0, 1):
            epoch(module, number)
    assert len(opened) == 10
    # A changed file is read again.
    shutil.copy(folder / "train" / "00001.mp4", folder / "train" / "00000.mp4")
    epoch(data(folder, cache=cache, batch_size=10))
    assert len(opened) == 11


# -- manifests --------------------------------------------------------------------------------------------------------


def test_fingerprint_changes_with_any_video_or_label_of_its_split(folder: Path) -> None:
    train, before = data(folder).fingerprint("train"), data(folder).fingerprint("test")
    assert len(before) == 12
    assert data(folder).fingerprint("test") == before
    seen = {before}
    video = folder / "validation" / "00001.mp4"
    video.write_bytes(video.read_bytes() + b"\0")
    seen.add(data(folder).fingerprint("test"))
    manifest = folder / "validation.csv"
    manifest.write_text(manifest.read_text().replace("00001.mp4,1", "00001.mp4,2"))
    seen.add(data(folder).fingerprint("test"))
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:-1]))
    seen.add(data(folder).fingerprint("test"))
    assert len(seen) == 4
    assert data(folder).fingerprint("train") == train


def test_a_test_needs_no_list_of_training_videos(folder: Path) -> None:
    (folder / "train.csv").unlink()
    shutil.rmtree(folder / "train")
    module = data(folder)
    module.setup("test")
    assert len(module.test_entries) > 0
    with pytest.raises(DataError, match=r"train\.csv"):
        module.setup("fit")


BAD_MANIFESTS = {
    "": r"train\.csv:1: the header is ''",
    "path,label\n": r"train\.csv: lists no videos",
    "video,class\na.mp4,0\n": r"train\.csv:1: the header is 'video,class', must be 'path,label'",
    "path,label\ntrain/00000.mp4\n": r"train\.csv:2: 'train/00000\.mp4' must be path,label",
    "path,label\ntrain/00000.mp4,0\n\ntrain/00001.mp4,9\n": r"train\.csv:4: label 9 is outside 0 to 3",
    "path,label\ntrain/00000.mp4,-1\n": r"train\.csv:2: label -1 is outside 0 to 3",
    "path,label\ntrain/00000.mp4,plus_won\n": (
        r"train\.csv:2: this data set has no class 'plus_won'; did you mean 'plus_one'"
    ),
    "path,label\ntrain/00000.mp4,0\nx/a.mp4,1\n": (
        r"1 of 2 videos to train on cannot be used, above the share of 0\.01: .*train\.csv:3: .*x/a\.mp4: no such "
        r"file; complete the folder, or allow it with --missing 0\.5"
    ),
    "path,label\n" + "".join(f"x/{n}.mp4,1\n" for n in range(5)): (
        r"5 of 5 videos to train on .*x/0\.mp4: no such file; .*x/1\.mp4: .*x/2\.mp4: no such file; \.\.\.; complete"
    ),
}


@pytest.mark.parametrize("text", BAD_MANIFESTS)
def test_bad_manifests_are_refused_with_file_and_line(text: str, folder: Path) -> None:
    (folder / "train.csv").write_text(text)
    with pytest.raises(DataError, match=BAD_MANIFESTS[text]) as caught:
        data(folder, class_names=synthetic.CLASSES["cycle"]).setup()
    assert len(str(caught.value).splitlines()) == 1


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(folder: Path) -> None:
    expected = [(e.video_id, e.label) for e in data(folder).train_entries]
    manifest = folder / "train.csv"
    manifest.write_bytes(b"\xef\xbb\xbf" + manifest.read_bytes().replace(b"\n", b"\r\n"))
    assert [(e.video_id, e.label) for e in data(folder).train_entries] == expected


def test_class_names_count_whatever_their_case_and_blanks(folder: Path) -> None:
    (folder / "mine.csv").write_text("path,label\ntrain/00000.mp4,Minus three\ntrain/00001.mp4,PLUS_ONE\n")
    module = data(folder, class_names=synthetic.CLASSES["cycle"], train=["mine"])
    names = [synthetic.CLASSES["cycle"][entry.label] for entry in module.train_entries]
    assert names == ["minus_three", "plus_one"]
    ambiguous = ("a b", "a_b", "c", "d")
    (folder / "mine.csv").write_text("path,label\ntrain/00000.mp4,A-B\n")
    with pytest.raises(DataError, match=r"mine\.csv:2: this data set has no class 'A-B'"):
        data(folder, class_names=ambiguous, train=["mine"]).setup("fit")


def test_a_folder_that_lacks_most_of_its_videos_is_refused_before_anything_is_trained(folder: Path) -> None:
    for number in range(1, 10):
        (folder / "train" / f"{number:05d}.mp4").unlink()
    with pytest.raises(DataError, match=r"9 of 10 videos to train on cannot be used.*allow it with --missing 0\.9"):
        data(folder).setup("fit")
    (folder / "train.csv").unlink()
    for name in ("a", "b", "c"):
        (folder / "train" / name).mkdir()
    shutil.move(folder / "train" / "00000.mp4", folder / "train" / "a" / "0.mp4")
    with pytest.raises(DataError, match=r"train: has no videos of 3 of 4 classes \(b, c, d\); complete it"):
        data(folder, class_names=("a", "b", "c", "d")).setup("fit")


def test_missing_folder_or_manifest_is_refused_with_the_option(folder: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder; .* --data kinetics400=PATH"):
        data(folder / "nowhere").setup()
    with pytest.raises(DataError, match=r"mine\.csv: no such manifest"):
        data(folder, train=("mine", "ours")).setup()
    (folder / "train.csv").unlink()
    shutil.rmtree(folder / "train")
    with pytest.raises(DataError, match=r"train\.csv: no such manifest"):
        data(folder).setup()


def test_a_test_video_listed_twice_is_refused(folder: Path) -> None:
    with (folder / "validation.csv").open("a") as file:
        file.write("validation/00000.mp4,0\n")
    with pytest.raises(DataError, match=r"validation\.csv:6: .* listed twice; first at .*validation\.csv:2"):
        data(folder).setup()


def test_class_names_in_manifests_are_understood(folder: Path) -> None:
    manifest = folder / "train.csv"
    (folder / "mine.csv").write_text("path,label\ntrain/00000.mp4,minus_three\ntrain/00001.mp4,1\n")
    module = data(folder, class_names=synthetic.CLASSES["cycle"], train=["mine", "train"])
    assert [entry.label for entry in module.train_entries] == [3, 1]
    manifest.write_text("path,label\ntrain/00000.mp4,minus_three\n")
    with pytest.raises(DataError, match=r"train\.csv:2: .*give class numbers"):
        data(folder).setup()


def test_class_folders_do_without_manifests(folder: Path) -> None:
    for split in ("train", "validation"):
        (folder / f"{split}.csv").unlink()
        for n, name in enumerate(("d", "a", "c", "b")):
            (folder / split / name).mkdir()
            shutil.move(folder / split / f"0000{n}.mp4", folder / split / name / f"{n}.mp4")
    entries = data(folder).train_entries
    assert [(e.video_id, e.label) for e in entries] == [
        ("train/a/1.mp4", 0),
        ("train/b/3.mp4", 1),
        ("train/c/2.mp4", 2),
        ("train/d/0.mp4", 3),
    ]
    assert [e.label for e in data(folder, class_names=("d", "c", "b", "a")).train_entries] == [3, 2, 1, 0]
    with pytest.raises(DataError, match="4 class folders, the data set has 5 classes"):
        data(folder, num_classes=5).setup()
    with pytest.raises(DataError, match="train/b: this data set has no class 'b'"):
        data(folder, class_names=("d", "c", "x", "a")).setup()


def test_the_test_list_may_be_called_val_where_there_is_no_validation(folder: Path) -> None:
    expected = [e.label for e in data(folder).test_entries]
    (folder / "validation.csv").rename(folder / "val.csv")
    assert [e.video_id for e in data(folder).test_entries] == [f"validation/0000{n}.mp4" for n in range(4)]
    assert [e.label for e in data(folder).test_entries] == expected
    (folder / "val.csv").unlink()
    with pytest.raises(DataError, match="class folders"):
        data(folder, num_classes=5).setup("test")


def test_videos_tested_before_are_left_out_of_a_test(folder: Path) -> None:
    module = data(folder, clip_sampling="random")
    every = {item["video_id"]: item["views"] for batch in module.test_dataloader() for item in batch}
    module.skip(["validation/00001.mp4"])
    left = {item["video_id"]: item["views"] for batch in module.test_dataloader() for item in batch}
    assert list(left) == [name for name in every if name != "validation/00001.mp4"]
    assert all(torch.equal(left[name], every[name]) for name in left), "the same random clips"


def test_limits_take_the_start_of_the_manifests(folder: Path) -> None:
    module = data(folder, limit_train=3, limit_test=2)
    assert [e.video_id for e in module.train_entries] == [f"train/0000{n}.mp4" for n in range(3)]
    assert len(module.test_entries) == 2
    assert module.fingerprint("test") != data(folder).fingerprint("test")


# -- the map of data sets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_every_data_set_builds_and_yields_batches(name: str, folder: Path, tmp_path: Path) -> None:
    if name in synthetic.CLASSES:
        classes = len(synthetic.CLASSES[name])
        frames = 1 if name == "stills" else 8
        module = data(
            tmp_path / name, name, num_classes=classes, num_frames=frames, num_train=8, num_test=4, clips=2, crops=3
        )
        assert module.videos.flip_labels == synthetic.FLIP_LABELS[name]
    else:
        frames, module = 8, data(folder, name, clips=2, crops=3)
    clips, labels = epoch(module)
    assert clips.shape == (8, frames, 3, 32, 32)
    assert set(labels.tolist()) <= set(range(module.videos.num_classes))
    assert [item["views"].shape[0] for batch in module.test_dataloader() for item in batch] == [6] * 4


def test_unknown_data_sets_and_wrong_class_counts_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"^no data set 'cylce'; did you mean 'cycle'\? \(any other needs root=PATH\)$"
    ):
        build_data("cylce")
    with pytest.raises(DataError, match="has 4 classes, not 8"):
        data(tmp_path / "a", "cycle", num_classes=8)
    with pytest.raises(DataError, match="mirroring"):
        data(tmp_path / "a", "cycle", flip_labels={0: 2, 2: 0})


# -- one clip of the whole video --------------------------------------------------------------------------------------


def test_without_a_stride_a_training_clip_is_drawn_from_the_segments_of_its_video(folder: Path) -> None:
    dataset = data(folder, stride=None, augment=AUGMENT | {"flip": 0.0}).train_dataloader().dataset
    transform = transforms.TrainTransform(size=32, **{k: v for k, v in AUGMENT.items() if k != "flip"})
    for index in range(4):
        rng = np.random.default_rng([0, 1, 3, index])
        with VideoReader(dataset.entries[index].file) as reader:
            numbers = sampling.segment_clip(reader.num_frames, num_frames=8, rng=rng)
            frames = torch.from_numpy(reader.frames(numbers)).permute(0, 3, 1, 2)
        rng.random()  # whether to flip
        assert torch.equal(dataset[3, index][0], transform(frames, flip=False, rng=rng))


def test_without_a_stride_epochs_differ_and_repeat(folder: Path) -> None:
    module = data(folder, stride=None, augment={"short_side": [40, 40]}, size=40)
    assert equal(epoch(module, 0), epoch(data(folder, stride=None, augment={"short_side": [40, 40]}, size=40), 0))
    assert not equal(epoch(module, 0), epoch(module, 1))


def test_without_a_stride_the_test_clip_is_the_middle_of_the_segments(folder: Path) -> None:
    [first, *_] = list(data(folder, stride=None, crops=3).test_dataloader())
    assert first[0]["views"].shape == (3, 8, 3, 32, 32)
    with VideoReader(folder / first[0]["video_id"]) as reader:
        numbers = sampling.segment_clip(reader.num_frames, num_frames=8)
        frames = torch.from_numpy(reader.frames(numbers)).permute(0, 3, 1, 2)
    expected = transforms.TestTransform(size=32, short_side=32, crops=3)(frames)
    assert torch.equal(first[0]["views"], expected)


@pytest.mark.parametrize("views", [{"clips": 2}, {"clip_sampling": "random"}])
def test_without_a_stride_there_is_one_clip(folder: Path, views: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"segments of the whole video \(stride None\) make 1 uniform clip, not"):
        data(folder, stride=None, **views)


# -- objects ----------------------------------------------------------------------------------------------------------


def plain(videos: Any, **options: Any) -> VideoData:
    return VideoData(
        videos,
        sampling=ClipSampling(num_frames=8, stride=4),
        train_transform=transforms.TrainTransform(size=32, short_side=(34, 40)),
        test_transform=transforms.TestTransform(size=32, short_side=34, crops=3),
        **options,
    )


def test_lists_given_as_objects_are_the_folder_that_they_were_read_from(folder: Path) -> None:
    train, test = (
        read_manifest(folder / f"{name}.csv", root=folder, num_classes=4) for name in ("train", "validation")
    )
    given = plain(VideoLists(train=train, test=test, num_classes=4), loading=Loading(batch_size=5))
    read = plain(VideoFolder(folder, num_classes=4), loading=Loading(batch_size=5))
    assert equal(epoch(given), epoch(read))
    assert [given.fingerprint(split) for split in ("train", "test")] == [
        read.fingerprint(split) for split in ("train", "test")
    ]
    with pytest.raises(DataError, match="listed twice"):
        plain(VideoLists(test=[*test, test[0]], num_classes=4)).setup("test")
    with pytest.raises(DataError, match=r"^my set: no videos to train on are listed$"):
        plain(VideoLists(test=test, num_classes=4, name="my set")).setup("fit")


def test_a_decoder_of_ones_own_is_any_function(folder: Path) -> None:
    asked = []

    def numbered(file: Path, choose: Any) -> tuple[torch.Tensor, np.ndarray, str]:
        wanted = choose(40)
        numbers, which = np.unique(wanted, return_inverse=True)
        asked.append((file.name, wanted.shape))
        frames = torch.from_numpy(numbers).to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 3, 40, 48)
        return frames, which.reshape(wanted.shape), "made up"

    module = plain(VideoFolder(folder, num_classes=4), frames=numbered, views=TestViews(clips=2))
    [[item], *_] = module.test_dataloader()
    assert item["note"] == "made up" and asked[0] == ("00000.mp4", (2, 8)) and len(asked) == 4
    shown = (item["views"][:, :, 0, 0, 0] * 0.5 + 0.5) * 255
    clips = sampling.test_clips(40, num_frames=8, stride=4, clips=2)
    assert torch.equal(shown.round().long(), torch.from_numpy(clips).repeat_interleave(3, dim=0))
    clip, _ = module.train_dataloader().dataset[0, 0]
    assert clip.shape == (8, 3, 32, 32) and not module.has_audio and module.silent_train_videos is None


# -- validation -------------------------------------------------------------------------------------------------------


def ids(batches: Any) -> list[str]:
    return [item["video_id"] for batch in batches for item in batch]


def test_nothing_is_validated_on_unless_it_is_named(folder: Path) -> None:
    module = data(folder)
    assert module.val_dataloader() == [] and module.holdout is None and module.holdout_entries == []
    assert ids(data(folder, validate_on="test").val_dataloader()) == [f"validation/0000{n}.mp4" for n in range(4)]
    assert data(folder, validate_on="test").holdout is None
    held = data(folder, validate_on=0.3)
    assert held.holdout == 0.3 and len(ids(held.val_dataloader())) == 3
    assert ids(held.val_dataloader()) == [entry.video_id for entry in held.holdout_entries]
    left = {entry.video_id for entry in held.train_entries}
    assert len(left) == 7 and not left & set(ids(held.val_dataloader()))
    for wrong in (0, 1, 1.5, -0.1):
        with pytest.raises(ValueError, match=f"the share to validate on is {wrong}, must be above 0 and below 1"):
            data(folder, validate_on=wrong)
    with pytest.raises(ValueError, match="validate_on is a share, 'test' or None, not 'train'"):
        data(folder, validate_on="train")


def test_each_stage_reads_the_lists_that_it_needs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(
        VideoFolder, "read", lambda self, split: read.append(split) or [Entry(f"{split}.mp4", folder / split, 0, split)]
    )
    for validate_on, stage, expected in (
        (None, "fit", ["train"]),
        ("test", "fit", ["train", "test"]),
        (None, "validate", []),
        (0.3, "validate", ["train"]),
        ("test", "validate", ["test"]),
        (None, "test", ["test"]),
        (None, "predict", ["test"]),
        (None, None, ["train", "test"]),
    ):
        read.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(VideoData, "_held_out", frozenset())
            data(folder, validate_on=validate_on).setup(stage)
        assert read == expected, (validate_on, stage)


def test_predictions_are_of_the_test_views(folder: Path) -> None:
    module = data(folder, clips=2, crops=3)
    tested, predicted = (
        [item["views"] for batch in loader for item in batch]
        for loader in (module.test_dataloader(), module.predict_dataloader())
    )
    assert len(tested) == 4 and all(torch.equal(a, b) for a, b in zip(tested, predicted, strict=True))


class Counting(lightning.LightningModule):
    """Notes what Lightning's trainer asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen: dict[str, list[Any]] = {"train": [], "val": [], "test": [], "predict": []}

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        self.seen["train"].append(len(batch[1]))
        return self.layer(torch.zeros(1, 1)).sum()

    def validation_step(self, batch: Any, index: int) -> None:
        self.seen["val"] += [item["video_id"] for item in batch]

    def test_step(self, batch: Any, index: int) -> None:
        self.seen["test"] += [item["video_id"] for item in batch]

    def predict_step(self, batch: Any, index: int) -> list[str]:
        return [item["video_id"] for item in batch]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.filterwarnings("ignore:.*[Tt]otal length of.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*smaller than the logging interval:UserWarning")
@pytest.mark.parametrize(("validate_on", "validated"), [(None, 0), (0.3, 3), ("test", 4)])
def test_lightnings_trainer_fits_validates_tests_and_predicts(
    folder: Path, tmp_path: Path, validate_on: Any, validated: int
) -> None:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = lightning.Trainer(
        max_epochs=2, default_root_dir=tmp_path, enable_model_summary=False, num_sanity_val_steps=0, **quiet
    )
    network, module = Counting(), data(folder, validate_on=validate_on)
    trainer.fit(network, datamodule=module)
    assert sum(network.seen["train"]) == (8 if validate_on in (None, "test") else 4) * 2
    assert len(network.seen["val"]) == 2 * validated
    network.seen["val"].clear()
    trainer.validate(network, datamodule=module, verbose=False)
    assert len(network.seen["val"]) == validated
    module.skip(["validation/00002.mp4"])
    trainer.test(network, datamodule=module, verbose=False)
    assert network.seen["test"] == [f"validation/0000{n}.mp4" for n in (0, 1, 3)]
    predicted = trainer.predict(network, datamodule=module) or []
    assert [name for batch in predicted for name in batch] == network.seen["test"]


# -- groups -----------------------------------------------------------------------------------------------------------


def test_a_group_is_what_the_pattern_finds_and_otherwise_an_error(folder: Path) -> None:
    grouped = VideoFolder(folder, num_classes=4, group=r"0*(\d)\d\.mp4$", name="mine")
    assert grouped.group_of(Entry("train/00042.mp4", folder, 0, "")) == "4"
    with pytest.raises(DataError, match=r"train\.csv:3: 'x\.avi' is in no group of mine: the pattern '0\*.*' does not"):
        grouped.group_of(Entry("x.avi", folder, 0, "train.csv:3"))
    pairs = plain(VideoFolder(folder, num_classes=4, group=r"([0-9])\.mp4$"), validate_on=0.1)
    assert len(pairs.holdout_entries) == 1
    one = plain(VideoFolder(folder, num_classes=4, group=r"^(train)/"), validate_on=0.1)
    with pytest.raises(DataError, match="with 10% held out, none of 10 training videos is left to train on"):
        one.setup("fit")


def test_a_subclass_reads_and_groups_in_its_own_way(folder: Path) -> None:
    class Ours(VideoData):
        def prepare_data(self) -> None:
            (self.videos.root / "ours.txt").write_text("train/00000.mp4 1\ntrain/00002.mp4 3\ntrain/00003.mp4 0\n")

        def read(self, split: Any) -> list[Entry]:
            root = self.videos.root
            lines = (line.split() for line in (root / "ours.txt").read_text().splitlines())
            entries = [Entry(name, root / name, int(label), f"{split}") for name, label in lines]
            return entries if split == "train" else [Entry("test", root / "train" / "00001.mp4", 0, "test")]

        def group(self, entry: Entry) -> str:
            return "even" if entry.label % 2 == 0 else "odd"

    module = Ours(
        VideoFolder(folder, num_classes=4),
        sampling=ClipSampling(8, 4),
        train_transform=transforms.TrainTransform(size=32, short_side=(34, 40)),
        test_transform=transforms.TestTransform(size=32, short_side=34, crops=1),
        validate_on=0.3,
    )
    module.setup()
    parts = {frozenset(e.label for e in part) for part in (module.holdout_entries, module.train_entries)}
    assert parts == {frozenset({0}), frozenset({1, 3})}


# -- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_lightnings_command_line_builds_the_same_module(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("jsonargparse")
    from lightning.pytorch.cli import LightningCLI

    written = tmp_path / "data.yaml"
    written.write_text(f"""\
data:
  videos: {{root: {folder}, num_classes: 4, limit_train: 6}}
  sampling: {{num_frames: 8, stride: 4}}
  train_transform:
    class_path: vtbench.video.transforms.TrainTransform
    init_args: {{size: 32, short_side: [34, 40]}}
  test_transform:
    class_path: vtbench.video.transforms.TestTransform
    init_args: {{size: 32, short_side: 34, crops: 3}}
  frames:
    class_path: vtbench.datasets.DecodedFrames
    init_args: {{cache: {{class_path: vtbench.datasets.FileCache}}}}
  loading: {{batch_size: 3}}
  validate_on: 0.3
""")
    line = LightningCLI(
        Counting,
        VideoData,
        run=False,
        save_config_callback=None,
        args=["--config", str(written), "--data.seed=5", "--trainer.accelerator=cpu", "--trainer.logger=false"],
    )
    expected = plain(
        VideoFolder(folder, num_classes=4, limit_train=6), loading=Loading(batch_size=3), validate_on=0.3, seed=5
    )
    assert equal(epoch(line.datamodule), epoch(expected))
    assert line.datamodule.holdout_entries == expected.holdout_entries != []


def test_a_folder_that_has_no_name_is_not_an_option_of_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder; give the folder of the data set$"):
        VideoFolder(tmp_path / "nowhere", num_classes=2).read("train")
