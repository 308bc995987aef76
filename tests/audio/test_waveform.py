"""Audio tracks of small encoded files, against the waveform that was encoded."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import encoded
import numpy as np
import pytest

from vtbench.audio.waveform import LONGEST_S, SAMPLE_RATE, Audio, read_audio
from vtbench.errors import VideoError
from vtbench.video.times import picture_times


def write(
    path: Path,
    wave: np.ndarray | None,
    *,
    rate: int = 44100,
    codec: str = "pcm_s16le",
    layout: str | None = None,
    start_s: float = 0.0,
    picture_s: float = 2.0,
    picture_start_s: float = 0.0,
    bframes: int = 0,
) -> Path:
    """A grey picture of 25 frames a second, and `wave` (L,) or (channels, L) from start_s on."""
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as out:
        picture = out.add_stream("mpeg4", rate=25, options={"bf": str(bframes), "g": "12"})
        picture.width = picture.height = 32
        picture.codec_context.time_base = Fraction(1, 25)
        picture.codec_context.thread_count = 1
        if wave is not None:
            wave = np.atleast_2d(wave).astype(np.float32)
            layout = layout or {1: "mono", 2: "stereo", 6: "5.1"}[len(wave)]
            track = out.add_stream(codec, rate=rate, layout=layout)
            if codec == "aac":
                track.bit_rate = 128_000
        for number in range(round(picture_s * 25)):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90 + number % 30, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number + round(picture_start_s * 25), Fraction(1, 25)
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        if wave is None:
            return path
        resampler = av.AudioResampler(format=track.codec_context.format.name, frame_size=track.codec_context.frame_size)
        sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave), format="fltp", layout=layout)
        sound.sample_rate, sound.pts, sound.time_base = rate, round(start_s * rate), Fraction(1, rate)
        for part in [*resampler.resample(sound), *resampler.resample(None)]:
            out.mux(track.encode(part))
        out.mux(track.encode(None))
    return path


def tone(seconds: float, *, hertz: float = 1000, rate: int = 44100, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def click(at_s: float, seconds: float, *, rate: int = 48000) -> np.ndarray:
    """A short bump whose middle is at at_s, wide enough to survive 16 kHz and AAC."""
    time = np.arange(round(seconds * rate)) / rate - at_s
    return 0.8 * np.exp(-((time / 0.001) ** 2))


def signal_to_noise_db(waveform: np.ndarray, *, hertz: float = 1000) -> tuple[float, float, float]:
    """(dB, amplitude, delay in samples) of the sine fitted to a waveform, the ends left out."""
    inner = slice(800, len(waveform) - 800)
    phase = 2 * np.pi * hertz * np.arange(len(waveform))[inner] / SAMPLE_RATE
    basis = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    coefficients = np.linalg.lstsq(basis, waveform[inner].astype(np.float64), rcond=None)[0]
    fitted = basis @ coefficients
    ratio = (fitted**2).sum() / ((waveform[inner] - fitted) ** 2).sum()
    delay = -np.arctan2(coefficients[1], coefficients[0]) * SAMPLE_RATE / (2 * np.pi * hertz)
    return 10 * np.log10(ratio), float(np.hypot(*coefficients)), float(delay)


def middle_s(waveform: np.ndarray) -> float:
    """When a click is, to a fraction of a sample."""
    weights = waveform.astype(np.float64) ** 2
    return float((weights * np.arange(len(waveform))).sum() / weights.sum() / SAMPLE_RATE)


# ---- what comes out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "rate", "least_db"),
    [
        ("pcm.mov", "pcm_s16le", 44100, 60),
        ("pcm.mkv", "pcm_s16le", 48000, 60),
        ("pcm.avi", "pcm_s16le", 22050, 60),
        ("aac.mp4", "aac", 44100, 30),
        ("aac.mkv", "aac", 48000, 30),
        ("aac.mov", "aac", 16000, 30),
    ],
)
def test_a_tone_stays_a_tone(name: str, codec: str, rate: int, least_db: float, tmp_path: Path) -> None:
    sound = read_audio(write(tmp_path / name, tone(2.0, rate=rate), rate=rate, codec=codec))
    assert sound.waveform.dtype == np.float32 and sound.waveform.shape == (2 * SAMPLE_RATE,)
    decibels, amplitude, delay = signal_to_noise_db(sound.waveform)
    assert decibels >= least_db
    assert amplitude == pytest.approx(0.5, rel=0.01) and abs(delay) < 0.05
    assert sound.has_track and sound.damaged_packets == 0 and sound.picture_s == pytest.approx(2)
    assert sound.start_s == pytest.approx(0, abs=1e-3)
    assert sound.end_s == pytest.approx(2, abs=0.03 if name.endswith("mkv") else 1e-3)  # says no length: AAC's padding
    assert sound.covered == pytest.approx(1, abs=1e-3)


def test_channels_are_averaged(tmp_path: Path) -> None:
    one = tone(2.0)
    sides = {
        "left": np.stack([one, 0 * one]),
        "twice": np.stack([one, one]),
        "surround": np.stack([one, one, 0 * one, 0 * one, 0 * one, one]),
    }
    for name, wave in sides.items():
        sound = read_audio(write(tmp_path / f"{name}.mov", wave))
        _, amplitude, _ = signal_to_noise_db(sound.waveform)
        assert amplitude == pytest.approx(0.5 if name == "twice" else 0.25, rel=1e-3), name


def test_channels_in_anti_phase_mix_to_zero(tmp_path: Path) -> None:
    one = tone(2.0)
    sound = read_audio(write(tmp_path / "anti.mov", np.stack([one, -one])))
    assert sound.has_track and np.abs(sound.waveform).max() < 1e-4


def test_samples_are_numbers_between_minus_one_and_one(tmp_path: Path) -> None:
    wave = tone(2.0, amplitude=3.0)
    wave[30_000:30_010] = np.nan
    wave[40_000] = np.inf
    sound = read_audio(write(tmp_path / "loud.mkv", wave, codec="pcm_f32le"))
    assert np.isfinite(sound.waveform).all()
    assert sound.waveform.max() == 1 and sound.waveform.min() == -1


# ---- time --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["click.mov", "click.mkv", "click.mp4", "click.ts"])
@pytest.mark.parametrize(
    ("start_s", "picture_start_s"), [(0.0, 0.0), (0.6, 0.0), (0.0, 0.4), (0.8, 0.2), (0.64, 0.64), (1.48, 1.0)]
)
def test_a_click_is_where_it_is_in_the_picture(
    start_s: float, picture_start_s: float, name: str, tmp_path: Path
) -> None:
    codec = "pcm_s16le" if name.endswith(("mov", "mkv")) else "aac"
    path = write(
        tmp_path / name, click(0.5, 1.2), rate=48000, codec=codec, start_s=start_s, picture_start_s=picture_start_s
    )
    sound = read_audio(path)
    expected = start_s - picture_start_s
    assert middle_s(sound.waveform) == pytest.approx(expected + 0.5, abs=1e-3)
    primed_s = 1024 / 48000 if codec == "aac" else 0.0  # what AAC puts first; mp4 hides it in some of these
    assert expected - primed_s - 1e-3 <= sound.start_s <= expected + 1e-3
    assert sound.end_s == pytest.approx(expected + 1.2, abs=0.03)
    assert len(sound.waveform) == 2 * SAMPLE_RATE and sound.picture_s == pytest.approx(2)
    assert not sound.waveform[: max(round((expected - primed_s - 0.005) * SAMPLE_RATE), 0)].any()
    assert not sound.waveform[round((expected + 1.235) * SAMPLE_RATE) :].any()


def test_the_first_frame_shown_counts_and_not_the_first_one_stored(tmp_path: Path) -> None:
    path = write(tmp_path / "b.mp4", click(0.5, 1.2), rate=48000, codec="aac", bframes=2)
    assert middle_s(read_audio(path).waveform) == pytest.approx(0.5, abs=1e-3)


def test_sound_longer_than_the_picture_is_cut_and_said(tmp_path: Path) -> None:
    sound = read_audio(write(tmp_path / "long.mov", tone(3.0), picture_s=1.0, picture_start_s=0.4))
    assert len(sound.waveform) == SAMPLE_RATE and np.abs(sound.waveform[-100:]).max() > 0.4
    assert (sound.start_s, sound.end_s) == (pytest.approx(-0.4, abs=1e-3), pytest.approx(2.6, abs=1e-3))
    assert sound.covered == 1


def test_sound_shorter_than_the_picture_is_followed_by_silence_and_said(tmp_path: Path) -> None:
    sound = read_audio(write(tmp_path / "short.mp4", tone(0.3), codec="aac", picture_s=3.0))
    assert len(sound.waveform) == 3 * SAMPLE_RATE and not sound.waveform[round(0.31 * SAMPLE_RATE) :].any()
    assert sound.covered == pytest.approx(0.1, abs=1e-3)


def test_the_padding_of_the_last_coded_frame_is_cut(tmp_path: Path) -> None:
    # 1.003 s are 47.02 frames of 1024 samples at 48 kHz.
    path = write(tmp_path / "padded.mp4", tone(1.003, rate=48000), rate=48000, codec="aac")
    with av.open(str(path)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) > 48144 + 500
    sound = read_audio(path)
    assert sound.end_s == pytest.approx(1.003, abs=1e-3)
    assert not sound.waveform[round(1.0031 * SAMPLE_RATE) :].any()


def test_sound_that_goes_on_far_beyond_its_declared_length_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "header.mov", tone(2.0, rate=48000), rate=48000)
    data = path.read_bytes()
    scale, samples = (48_000).to_bytes(4, "big"), (96_000).to_bytes(4, "big")
    assert data.count(scale + samples) == 1  # of the track's header: time scale and duration
    path.write_bytes(data.replace(scale + samples, scale + scale))
    with av.open(str(path)) as container:
        track = container.streams.audio[0]
        assert track.duration * track.time_base == 1  # which is what FFmpeg goes by
        longest_s = max(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    assert 5 * longest_s < 1 < 50 * longest_s  # more than coders fill up with
    sound = read_audio(path)
    assert sound.end_s == pytest.approx(2, abs=1e-3) and np.abs(sound.waveform[-100:]).max() > 0.4


def test_sound_that_ends_before_the_picture_begins_is_silence(tmp_path: Path) -> None:
    sound = read_audio(write(tmp_path / "early.mkv", tone(0.5), picture_start_s=1.0))
    assert sound.has_track and not sound.waveform.any() and sound.covered == 0 and sound.end_s < 0


# ---- jumps in time, and memory ------------------------------------------------------------------------------------


def write_jump(path: Path, *, picture_s: int = 0, sound_s: int = 0) -> Path:
    """30 frames of 40 ms and a constant sound of 0.5; the second half of either comes so much later."""
    with av.open(str(path), "w") as out:
        picture = out.add_stream("mpeg4", rate=25)
        picture.width = picture.height = 32
        track = out.add_stream("pcm_s16le", rate=16000, layout="mono")
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number + (number >= 15) * 25 * picture_s, Fraction(1, 25)
            out.mux(picture.encode(frame))
            sound = av.AudioFrame.from_ndarray(np.full((1, 640), 1 << 14, np.int16), format="s16", layout="mono")
            sound.sample_rate, sound.time_base = 16000, Fraction(1, 16000)
            sound.pts = number * 640 + (number >= 15) * 16000 * sound_s
            out.mux(track.encode(sound))
        out.mux([*picture.encode(None), *track.encode(None)])
    return path


def test_a_picture_that_lasts_days_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    path = write_jump(tmp_path / "day.mkv", picture_s=86400)
    refused(path, r"lasts 24\.0 h by .* at most 4 h are read; write new time stamps if they jump, otherwise cut it")


def test_the_longest_picture_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LONGEST_S * SAMPLE_RATE * 4 < 1e9  # bytes
    path = write(tmp_path / "two.mov", tone(2.0))
    monkeypatch.setattr("vtbench.audio.waveform.LONGEST_S", 2.0)
    assert read_audio(path).picture_s == 2.0
    monkeypatch.setattr("vtbench.audio.waveform.LONGEST_S", 1.99)
    refused(path, "lasts 0.0 h")


def test_sound_that_jumps_by_days_leaves_what_is_in_the_picture(tmp_path: Path) -> None:
    sound = read_audio(write_jump(tmp_path / "later.mkv", sound_s=86400))
    assert len(sound.waveform) == 19_200 and sound.end_s == pytest.approx(86401.2)
    assert (sound.waveform[:9600] == 0.5).all() and not sound.waveform[9600:].any()


PEAK = """
import sys
from vtbench.audio.waveform import read_audio
def peak():  # not getrusage's, which begins at that of the process this one was started from
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) * 1024
read_audio(sys.argv[1])
before = peak()
waveform = read_audio(sys.argv[2]).waveform
print(peak() - before, waveform.nbytes)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc/self/status has the peak of memory")
def test_the_decoded_frames_of_a_track_are_not_kept(tmp_path: Path) -> None:
    # 120 s of 5.1 are 69 MB decoded and 46 MB resampled; the waveform is 7.7 MB, and little comes on top of it.
    short = write(tmp_path / "short.mkv", np.zeros((6, 96_000)), rate=48000, codec="flac")
    path = write(tmp_path / "long.mkv", np.zeros((6, 5_760_000)), rate=48000, codec="flac", picture_s=120.0)
    command = [sys.executable, "-c", PEAK, str(short), str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    grown, waveform = map(int, printed.split())
    assert waveform == 4 * 120 * SAMPLE_RATE and grown < waveform + 15e6


def test_blocks_join_without_a_seam(tmp_path: Path) -> None:
    # 3.3 s are three blocks of a second and a part of one.
    sound = read_audio(write(tmp_path / "seams.mov", tone(3.3), picture_s=3.3))
    assert len(sound.waveform) == round(3.28 * SAMPLE_RATE) and signal_to_noise_db(sound.waveform)[0] >= 60


def test_sound_whose_rate_and_channels_change_on_the_way_goes_on(tmp_path: Path) -> None:
    one = write(tmp_path / "one.ts", tone(1.0), codec="aac", picture_s=1.0)
    other = write(
        tmp_path / "other.ts",
        np.stack([tone(1.0, rate=48000)] * 2),
        rate=48000,
        codec="aac",
        start_s=1.0,
        picture_start_s=1.0,
        picture_s=1.0,
    )
    (tmp_path / "both.ts").write_bytes(one.read_bytes() + other.read_bytes())
    sound = read_audio(tmp_path / "both.ts")
    halves = np.split(sound.waveform, 2)
    for half in halves:
        decibels, amplitude, _ = signal_to_noise_db(half[1600:-1600])  # the coder's first and last frames left out
        assert decibels >= 30 and amplitude == pytest.approx(0.5, rel=0.01)


# ---- none, silence, damage ---------------------------------------------------------------------------------------


def test_no_track_is_silence_and_said(tmp_path: Path) -> None:
    sound = read_audio(write(tmp_path / "mute.mp4", None))
    assert not sound.has_track and sound.covered == 0 and sound.picture_s == pytest.approx(2)
    assert sound.waveform.shape == (2 * SAMPLE_RATE,) and not sound.waveform.any()


def test_silence_is_a_track(tmp_path: Path) -> None:
    sound = read_audio(write(tmp_path / "silence.mp4", np.zeros(88200), codec="aac"))
    assert sound.has_track and sound.covered == pytest.approx(1, abs=1e-3) and not sound.waveform.any()


def overwrite(path: Path, numbers: range) -> None:
    """Make these packets of the sound undecodable, by number from 0."""
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    with path.open("r+b") as file:
        for at, size in (places[number] for number in numbers):
            file.seek(at)
            file.write(b"\xff" * size)


@pytest.mark.parametrize("count", [1, 3])
def test_damaged_packets_are_silence_and_move_nothing(count: int, tmp_path: Path) -> None:
    wave = tone(2.0, rate=48000)
    path = write(tmp_path / "damaged.mp4", wave, rate=48000, codec="aac")
    whole = read_audio(path)
    overwrite(path, range(40, 40 + count))
    sound = read_audio(path)
    assert sound.damaged_packets == count and sound.end_s == whole.end_s
    # Packet n holds samples 1024 (n - 1) on, and half of what the one before it says.
    first, last = (round((number - 1) * 1024 / 48000 * SAMPLE_RATE) for number in (40, 40 + count))
    difference = np.abs(sound.waveform - whole.waveform)
    assert difference[: first - 50].max() < 1e-6
    half_a_sample = 0.5 * 2 * np.pi * 1000 / SAMPLE_RATE * 0.5  # what goes on begins at a whole one; of 1 kHz at 0.5
    assert difference[last + 400 :].max() < half_a_sample
    assert not sound.waveform[first + 50 : last - 50].any()


def test_a_track_of_which_nothing_decodes_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "broken.mp4", tone(0.5, rate=48000), rate=48000, codec="aac")
    with av.open(str(path)) as container:
        count = sum(1 for packet in container.demux(audio=0) if packet.size)
    overwrite(path, range(count))
    refused(path, r"none of the \d+ packets of its audio decodes; convert it, or get it again")


def refused(path: Path, message: str) -> None:
    with pytest.raises(VideoError, match=message) as error:
        read_audio(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_sound_of_an_unknown_coding_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "odd.mov", tone(0.5))
    path.write_bytes(path.read_bytes().replace(b"sowt", b"zzzz"))
    refused(path, "the codec of its audio is unknown to FFmpeg; convert it to AAC")


def test_files_that_are_no_videos_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "absent.mp4", "no such file or directory; check the path")
    (tmp_path / "text.mp4").write_text("not a video" * 100)
    refused(tmp_path / "text.mp4", "invalid data found .*; check the path, or get the file again")
    (tmp_path / "empty.mp4").touch()
    refused(tmp_path / "empty.mp4", "is empty")
    refused(tmp_path, "is a directory")
    with av.open(str(tmp_path / "only_sound.m4a"), "w", format="mp4") as out:
        track = out.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        out.mux([*track.encode(frame), *track.encode(None)])
    refused(tmp_path / "only_sound.m4a", "has no video stream; give a video")


def test_time_stamps_that_are_a_little_off_leave_the_sound_whole(tmp_path: Path) -> None:
    # Matroska rounds to 1 ms: stretches of 1024 samples at 44.1 kHz are never whole ones.
    sound = read_audio(write(tmp_path / "rounded.mkv", tone(2.0), codec="aac"))
    assert signal_to_noise_db(sound.waveform)[0] >= 30


def test_what_is_recorded_is_comparable() -> None:
    empty = np.zeros(0, np.float32)
    assert Audio(empty, True, 0.0, 0.0, 0.0, 0).covered == 0
    assert Audio(empty, True, 1.0, 3.0, 4.0, 0).covered == 0.5
    assert Audio(empty, True, -1.0, 1.0, 4.0, 0).covered == 0.25


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_the_picture_of_an_avi_begins_with_its_first_packet(codec: str, tmp_path: Path) -> None:
    """With B-frames FFmpeg gives its first picture the time of a later one; sound would be up to 0.12 s early."""
    options = {"bf": "2", "g": "12"} if codec == "mpeg4" else encoded.x264(12, "bframes=3:b-adapt=0")
    path = encoded.encode(tmp_path / "a.avi", encoded.numbered(30), codec=codec, options=options)
    times = picture_times(path)
    assert (times.start_s, times.end_s) == pytest.approx((0, 30 / 25))


def test_a_track_that_is_announced_and_empty_is_no_sound(tmp_path: Path) -> None:
    sound = read_audio(encoded.with_empty_track(tmp_path / "a.ts"))
    assert not sound.has_track and not sound.waveform.any() and sound.damaged_packets == 0


def test_a_rate_at_which_a_sample_becomes_thousands_is_refused(tmp_path: Path) -> None:
    """A packet of 0.5 MB at 1 Hz is 70 hours of sound."""
    path = write(tmp_path / "a.mkv", np.zeros(4000), rate=1)
    with pytest.raises(VideoError, match=r"a\.mkv: its audio has 1 samples a second, at least 1000 are wanted"):
        read_audio(path)
    assert read_audio(write(tmp_path / "b.mkv", np.zeros(2000), rate=1000)).has_track
