"""The cache of decoded files is bounded by bytes and drops what was used least recently."""

from __future__ import annotations

import pickle
from pathlib import Path

import encoded
import numpy as np
import torch

from vtbench.datasets import synthetic
from vtbench.datasets.cache import MAX_BYTES, SHARED, FileCache
from vtbench.datasets.frames import DecodedFrames
from vtbench.datasets.synthetic import bits, cycle, events, ring, stills
from vtbench.papers.datasets import load_dataset


def test_the_least_recently_used_goes_first_and_the_bound_holds() -> None:
    cache = FileCache(max_bytes=10)
    for key in "abc":
        cache.put(key, key.upper(), 3)
    assert (cache.get("a"), cache.num_bytes, len(cache)) == ("A", 9, 3)
    cache.put("d", "D", 3)  # "b" has been unused for longest
    assert [cache.get(key) for key in "abcd"] == ["A", None, "C", "D"]
    cache.put("e", "E", 7)
    assert [cache.get(key) for key in "acde"] == [None, None, "D", "E"] and cache.num_bytes == 10


def test_a_value_is_replaced_and_one_that_is_too_large_is_not_kept() -> None:
    cache = FileCache(max_bytes=10)
    cache.put("a", "small", 2)
    cache.put("a", "larger", 9)
    assert (cache.get("a"), cache.num_bytes) == ("larger", 9)
    cache.put("b", "huge", 11)
    assert cache.get("b") is None and cache.get("a") == "larger"
    cache.put("a", "huge", 11)
    assert cache.get("a") is None and (cache.num_bytes, len(cache)) == (0, 0)
    cache.put("a", "again", 4)
    cache.clear()
    assert cache.get("a") is None and cache.num_bytes == 0


def test_another_process_gets_an_empty_cache_of_the_same_size() -> None:
    cache = FileCache(max_bytes=10)
    cache.put("a", "A", 3)
    copy = pickle.loads(pickle.dumps(cache))
    assert (copy.max_bytes, len(copy)) == (10, 0)


def test_frames_are_the_same_whatever_the_room(tmp_path: Path) -> None:
    files = [
        encoded.encode(tmp_path / f"{n}.mp4", encoded.numbered(12 + n), options=encoded.x264(12)) for n in range(3)
    ]
    with_room, without = FileCache(), FileCache(max_bytes=13 * encoded.HEIGHT * encoded.WIDTH * 3)
    for file in (*files, *files[::-1]):
        wanted = np.array([[3, 1], [1, 5]])
        plain = DecodedFrames()(file, lambda n, wanted=wanted: wanted)
        for cache in (with_room, without):
            frames, which, note = DecodedFrames(cache)(file, lambda n, wanted=wanted: wanted)
            assert torch.equal(frames, plain[0]) and np.array_equal(which, plain[1]) and note is None
            assert cache.num_bytes <= cache.max_bytes
    assert len(with_room) == 3 and len(without) == 1
    assert with_room.num_bytes == sum(12 + n for n in range(3)) * encoded.HEIGHT * encoded.WIDTH * 3


def test_all_synthetic_sets_fit_into_the_shared_cache() -> None:
    """At the numbers of videos that they make, and with all modalities of `bits` and `silent_bits`."""
    rng = np.random.default_rng(0)
    pixels = ring.HEIGHT * ring.WIDTH * 3
    predicted = bits.NUM_FRAMES - bits.GOPS
    a_video = {
        "cycle": len(cycle.draw_places(0, rng)) * pixels,
        "events": len(events.draw_places(0, rng)) * pixels,
        "stills": len(stills.draw_places(0, rng)) * pixels,
        "bits": predicted * (13 * bits.HEIGHT * bits.WIDTH + 96 * 64 * 4),
        "silent_bits": predicted * 13 * bits.HEIGHT * bits.WIDTH,
    }
    assert a_video.keys() == synthetic.CLASSES.keys()
    facts = {name: load_dataset(name) for name in a_video}
    total = sum(size * (facts[n].num_videos("train") + facts[n].num_videos("test")) for n, size in a_video.items())
    assert total <= MAX_BYTES == SHARED.max_bytes
    assert 5e9 < total < 6.5e9  # what its description says
