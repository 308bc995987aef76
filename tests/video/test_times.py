"""When pictures are shown: with stamps of their own, and with stamps of the order of coding."""

from __future__ import annotations

import wave
from pathlib import Path

import encoded
import pytest
from encoded import copied

from vtbench.errors import VideoError
from vtbench.video.times import picture_times

B_FRAMES = encoded.x264(12, "bframes=3:b-adapt=0")


@pytest.mark.parametrize("options", [{"codec": "mpeg4", "options": {"bf": "2", "g": "12"}}, {"options": B_FRAMES}])
def test_pictures_of_avi_are_shown_by_rank(options: dict[str, object], tmp_path: Path) -> None:
    path = encoded.encode(tmp_path / "a.avi", encoded.numbered(30), **options)  # type: ignore[arg-type]
    times = picture_times(path)
    assert times.by_rank == pytest.approx([times.start_s + n / 25 for n in range(30)])
    assert times.end_s == pytest.approx(times.start_s + 30 / 25)


def test_stamps_of_the_order_of_coding_are_noticed_in_mp4(tmp_path: Path) -> None:
    source = encoded.encode(tmp_path / "a.avi", encoded.numbered(30), options=B_FRAMES)
    times = picture_times(copied(source, tmp_path / "a.mp4", in_coding_order=True))
    assert times.by_rank == pytest.approx([n / 25 for n in range(30)])


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_pictures_with_stamps_of_their_own_need_no_rank(suffix: str, tmp_path: Path) -> None:
    path = encoded.encode(tmp_path / f"a.{suffix}", encoded.numbered(30), options=B_FRAMES)
    times = picture_times(path)
    assert times.by_rank is None
    assert times.end_s - times.start_s == pytest.approx(30 / 25, abs=2e-3)


def test_a_file_without_pictures_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(1600))
    with pytest.raises(VideoError, match=r"a\.wav: has no video stream; give a video"):
        picture_times(path)
