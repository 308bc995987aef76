from __future__ import annotations

import itertools
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import nn

from vtbench.datasets import synthetic
from vtbench.datasets.synthetic import cycle, events, ring, stills
from vtbench.errors import DataError
from vtbench.video import sampling
from vtbench.video.decode import VideoReader

NUM_FRAMES = 8  # of a clip, at stride HOLD
KINDS = {"cycle": cycle, "events": events, "stills": stills}


def encoded_frames(path: Path, scene: ring.Scene, places: list[int]) -> np.ndarray:
    ring.write_video(path, scene, places)
    with VideoReader(path) as reader:
        return reader.frames(range(reader.num_frames))


def places_seen(frames: np.ndarray, scene: ring.Scene) -> list[int]:
    """Where the shape is in each frame, found by comparison with renderings of all places."""
    known = [ring.NOWHERE, *range(ring.PLACES)]
    pictures = np.stack([ring.render(scene, place) for place in known]).astype(int)
    return [known[int(np.abs(pictures - frame).sum(axis=(1, 2, 3)).argmin())] for frame in frames]


@pytest.mark.parametrize("name", ["cycle", "events", "stills"])  # test_bits.py has the others
def test_decoded_frames_show_the_places_that_were_drawn(name: str, tmp_path: Path) -> None:
    for label in range(len(synthetic.CLASSES[name])):
        rng = np.random.default_rng(label)
        scene, places = ring.draw_scene(rng), KINDS[name].draw_places(label, rng)
        assert places_seen(encoded_frames(tmp_path / "a.mp4", scene, places), scene) == places


@pytest.mark.parametrize("name", ["cycle", "events"])
def test_all_classes_of_a_scene_decode_to_the_same_set_of_frames(name: str, tmp_path: Path) -> None:
    """The proof that no function of the unordered set of frames beats chance: for every start a sampler can draw, clips
    of all classes are made of the same frames, bit for bit, so any such function gives all classes the same answer."""
    for seed in range(4):
        scene = ring.draw_scene(np.random.default_rng(seed))
        sets: dict[int, set[tuple[bytes, ...]]] = {}
        orders = set()
        for label in range(len(synthetic.CLASSES[name])):
            for draw in range(2):
                rng = np.random.default_rng([seed, label, draw])
                frames = encoded_frames(tmp_path / "a.mp4", scene, KINDS[name].draw_places(label, rng))
                last = sampling.last_start(len(frames), num_frames=NUM_FRAMES, stride=ring.HOLD)
                for start in range(last + 1):
                    clip = [frames[start + i * ring.HOLD].tobytes() for i in range(NUM_FRAMES)]
                    sets.setdefault(start % ring.HOLD, set()).add(tuple(sorted(clip)))
                    orders.add((label, tuple(clip)))
        assert sorted(sets) == list(range(ring.HOLD))
        assert all(len(found) == 1 for found in sets.values())
        # ... while the order tells the classes apart: no sequence of frames belongs to two of them.
        assert len({clip for _, clip in orders}) == len(orders)


@pytest.mark.parametrize("name", ["cycle", "events"])
def test_every_clip_the_samplers_can_draw_sees_every_hold_once(name: str) -> None:
    rng = np.random.default_rng(0)
    places = KINDS[name].draw_places(0, rng)
    n, kwargs = len(places), {"num_frames": NUM_FRAMES, "stride": ring.HOLD}
    drawn = {tuple(sampling.train_clip(n, **kwargs, rng=rng)) for _ in range(300)}
    drawn |= {tuple(c) for clips in (1, 2, 3, 10) for c in sampling.test_clips(n, **kwargs, clips=clips)}
    assert {clip[0] for clip in drawn} == set(range(sampling.last_start(n, **kwargs) + 1))
    assert len({clip[0] for clip in drawn}) >= ring.HOLD
    for clip in drawn:
        assert np.diff([frame // ring.HOLD for frame in clip]).tolist() == [1] * 7
        shown = sorted(places[frame] for frame in clip)
        expected = list(range(8)) if name == "cycle" else [*[ring.NOWHERE] * 4, *events.EVENT_PLACES]
        assert shown == expected


def test_cycle_labels_are_the_steps() -> None:
    rng = np.random.default_rng(0)
    firsts = Counter()
    for label in range(4):
        for _ in range(100):
            holds = cycle.draw_places(label, rng)[:: ring.HOLD]
            assert {(b - a) % 8 for a, b in itertools.pairwise(holds)} == {cycle.STEPS[label] % 8}
            firsts[label, holds[0]] += 1
    assert len(firsts) == 32  # every class starts at every place


def test_events_come_in_all_orders_and_the_label_is_the_first() -> None:
    rng = np.random.default_rng(0)
    orders, slots = set(), set()
    for label, _ in itertools.product(range(4), range(300)):
        holds = events.draw_places(label, rng)[:: ring.HOLD]
        order = tuple(place for place in holds if place != ring.NOWHERE)
        assert order[0] == events.EVENT_PLACES[label]
        orders.add(order)
        slots.add(tuple(h for h, place in enumerate(holds) if place != ring.NOWHERE))
    assert orders == set(itertools.permutations(events.EVENT_PLACES))
    assert slots == set(itertools.combinations(range(8), 4))


@pytest.mark.parametrize("name", ["cycle", "events", "stills"])  # test_bits.py has the others
def test_mirrored_video_is_a_video_of_the_mirrored_label(name: str, tmp_path: Path) -> None:
    for label in range(len(synthetic.CLASSES[name])):
        rng = np.random.default_rng(label)
        scene, places = ring.draw_scene(rng), KINDS[name].draw_places(label, rng)
        mirrored = encoded_frames(tmp_path / "a.mp4", scene, places)[:, :, ::-1]
        width = ring.WIDTH
        mirror_scene = ring.Scene(
            **{
                **vars(scene),
                "centre": (width - 1 - scene.centre[0], scene.centre[1]),
                "slope": (-scene.slope[0], scene.slope[1]),
            }
        )
        seen = places_seen(mirrored, mirror_scene)
        assert seen == [p if p == ring.NOWHERE else -p % 8 for p in places]
        new = synthetic.FLIP_LABELS[name].get(label, label)
        if name == "cycle":
            holds = seen[:: ring.HOLD]
            assert {(b - a) % 8 for a, b in itertools.pairwise(holds)} == {cycle.STEPS[new] % 8}
        elif name == "events":
            assert next(p for p in seen if p != ring.NOWHERE) == events.EVENT_PLACES[new]
        else:
            assert set(seen) == {new}


def test_files_are_h264_with_quiet_aac_whose_pitch_says_nothing(tmp_path: Path) -> None:
    root = synthetic.generate(tmp_path / "a", "cycle", num_train=4, num_test=1)
    with av.open(str(root / "train" / "00000.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.audio[0].codec_context.name == "aac"
        sound = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])
    assert 0.005 < np.sqrt((sound**2).mean()) < 0.1
    tones = {label: Counter() for label in range(4)}
    for number in range(400):
        rng = np.random.default_rng([0, 0, number])
        tones[number % 4][ring.draw_scene(rng).tone] += 1
    assert all(set(counter) == set(ring.TONES) for counter in tones.values())


def test_every_hold_begins_with_a_keyframe(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ring.write_video(tmp_path / "a.mp4", ring.draw_scene(rng), cycle.draw_places(0, rng))
    with av.open(str(tmp_path / "a.mp4")) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert keys == [n % ring.HOLD == 0 for n in range(40)]


# -- generation -------------------------------------------------------------------------------------------------------


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_generation_repeats_by_seed_and_a_short_set_begins_a_longer_one(tmp_path: Path) -> None:
    a, b, longer, other = (
        contents(synthetic.generate(tmp_path / name, "cycle", num_train=n, num_test=2, seed=seed))
        for name, n, seed in (("a", 4, 0), ("b", 4, 0), ("longer", 6, 0), ("other", 4, 1))
    )
    assert a == b
    assert all(longer[path] == data for path, data in a.items() if path.endswith(".mp4"))
    assert a["train/00000.mp4"] != other["train/00000.mp4"]
    assert a["train/00000.mp4"] != a["validation/00000.mp4"]
    assert a["train.csv"].decode().splitlines() == ["path,label", *(f"train/0000{n}.mp4,{n}" for n in range(4))]


def test_a_complete_set_is_left_alone_and_an_interrupted_one_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "a"
    written = []
    write_video = ring.write_video

    def failing(path: Path, *rest: object) -> None:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path)
        write_video(path, *rest)

    monkeypatch.setattr(ring, "write_video", failing)
    with pytest.raises(KeyboardInterrupt):
        synthetic.generate(root, "cycle", num_train=4, num_test=2)
    assert not root.exists()
    monkeypatch.setattr(ring, "write_video", write_video)
    synthetic.generate(root, "cycle", num_train=4, num_test=2)
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    assert len(contents(root)) == 4 + 2 + 3
    synthetic.generate(root, "cycle", num_train=4, num_test=2)
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before


def test_generations_that_start_together_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Threads stand for processes: the lock belongs to the open file, so it keeps both apart alike.
    written = []
    write_video = ring.write_video

    def counting(path: Path, *rest: object) -> None:
        written.append(path)
        write_video(path, *rest)

    monkeypatch.setattr(ring, "write_video", counting)
    with ThreadPoolExecutor() as pool:
        roots = list(
            pool.map(lambda _: synthetic.generate(tmp_path / "a", "stills", num_train=8, num_test=4), range(3))
        )
    assert all(len(list(root.rglob("*.mp4"))) == 12 for root in roots)
    assert len(written) == 12


def test_another_folder_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match=r"mine: holds something else than .*--data cycle=PATH"):
        synthetic.generate(tmp_path / "mine", "cycle", num_train=4, num_test=2)
    synthetic.generate(tmp_path / "a", "cycle", num_train=4, num_test=2)
    with pytest.raises(DataError, match="a: holds the set"):
        synthetic.generate(tmp_path / "a", "cycle", num_train=5, num_test=2)
    with pytest.raises(DataError, match="did you mean 'cycle'"):
        synthetic.generate(tmp_path / "b", "cylce", num_train=4, num_test=2)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file: is no folder"):
        synthetic.generate(tmp_path / "file" / "a", "cycle", num_train=4, num_test=2)


def test_default_folders_differ_by_settings() -> None:
    roots = {
        synthetic.default_root(name, num_train=n, num_test=2, seed=seed)
        for name, n, seed in itertools.product(synthetic.CLASSES, (4, 5), (0, 1))
    }
    assert len(roots) == 4 * len(synthetic.CLASSES)
    assert all(root.parent == Path("data") for root in roots)


def test_classes_and_flips_are_those_of_the_manifests() -> None:
    yaml = pytest.importorskip("yaml")
    top = Path(__file__).resolve().parents[2] / "data_manifests"
    for name, classes in synthetic.CLASSES.items():
        assert (top / name / "classes.txt").read_text().split() == list(classes)
        flip = yaml.safe_load((top / name / "dataset.yaml").read_text())["flip"]["labels"]
        assert {classes.index(a): classes.index(b) for a, b in flip.items()} == synthetic.FLIP_LABELS[name]


# -- measured ---------------------------------------------------------------------------------------------------------


def clips_of(root: Path, split: str, start: int) -> tuple[torch.Tensor, torch.Tensor]:
    clips, labels = [], []
    for line in (root / f"{split}.csv").read_text().splitlines()[1:]:
        path, label = line.split(",")
        with VideoReader(root / path) as reader:
            clips.append(torch.from_numpy(reader.frames([start + i * ring.HOLD for i in range(NUM_FRAMES)])))
        labels.append(int(label))
    return torch.stack(clips).permute(0, 1, 4, 2, 3).float() / 255, torch.tensor(labels)


def accuracy_of_a_reader(name: str, root: Path, ordered: bool) -> float:
    """Test accuracy of a small network over features of every frame, which it gets either in their order or summed."""
    torch.manual_seed(0)
    (x, y), (test_x, test_y) = clips_of(root, "train", 0), clips_of(root, "validation", 1)

    def features(clips: torch.Tensor) -> torch.Tensor:
        # What moves: distance from the clip's median frame, over a grid of 8 x 8 cells. Each frame is seen on its own
        # but for that median, which is a function of the set of frames too.
        moving = (clips - clips.median(dim=1, keepdim=True).values).abs().mean(dim=2)
        grid = nn.functional.adaptive_avg_pool2d(moving, 8).flatten(2) * 10  # (N, T, 64)
        if ordered:
            return grid.flatten(1)
        return torch.cat([grid.sum(1), (grid**2).sum(1), grid.sort(dim=1).values.flatten(1)], dim=1)

    a, b = features(x), features(test_x)
    model = nn.Sequential(nn.Linear(a.shape[1], 128), nn.ReLU(), nn.Linear(128, len(synthetic.CLASSES[name])))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(a), y).backward()
        optimizer.step()
    with torch.no_grad():
        return (model(b).argmax(1) == test_y).float().mean().item()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cycle", "events"])
def test_the_set_of_frames_is_worth_nothing_and_their_order_much(name: str, tmp_path: Path) -> None:
    root = synthetic.generate(tmp_path / "a", name, num_train=600, num_test=300)
    unordered = accuracy_of_a_reader(name, root, ordered=False)
    ordered = accuracy_of_a_reader(name, root, ordered=True)
    print(json.dumps({"set": name, "unordered": unordered, "ordered": ordered}))
    assert abs(unordered - 0.25) < 0.1  # four standard errors of chance over 300 videos
    assert ordered > 0.6
