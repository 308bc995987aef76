"""What a compressed video is made of: I-frames, motion vectors and residuals, with PyAV (FFmpeg) and numpy.

A group of pictures (GOP) is an I-frame, coded for itself, and the P-frames up to the next I-frame, each predicted from
the frame before it by moving blocks of 8 x 8 to 16 x 16 pixels. FFmpeg hands out the vectors of the blocks, but not the
residuals, so these are computed: residual = decoded frame - motion-compensated reference, in RGB.

Two conventions (Wu et al., "Compressed Video Action Recognition", CoViAR, CVPR 2018, arXiv:1712.00636,
Section 3; code: https://github.com/chaoyuaw/pytorch-coviar, data_loader/coviar_data_loader.c):

- "previous": the vectors as coded, in pixels with their fraction, and what they leave of this frame given the one
  before it, each vector to the nearest pixel or with its fraction. Pixels beyond the border are those on it, as the
  codecs have it. CoViAR's cuts fractions off and takes what leaves the frame as not moved.
- "iframe", as CoViAR's: vectors followed back to the I-frame, whole pixels, and what they leave of this frame given it.
  With m_t(p) the vector of the block at pixel p, cut to whole pixels, A_0(p) = p and A_t(p) = A_{t-1}(p + m_t(p)), the
  field is A_t(p) - p and the residual I_t(p) - I_0(A_t(p)). A vector that leaves the frame counts as zero there.

Sign: vectors point BACK to the reference, as FFmpeg has it: prediction(x, y) = reference(x + mx, y + my).
`sign="coviar"` gives CoViAR's, which is the opposite (where the content went).

Intra blocks, which have no vector, count as zero motion in both; `intra` says where they are.

Letters: U frames asked for, H W the frame's sides in pixels, Hb Wb those of its grid of 8 x 8 blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.codec.context import Flags, Flags2
from av.video.frame import PictureType

from vtbench.video.decode import VideoReader

__all__ = [
    "CompressedReader",
    "Convention",
    "Triplets",
    "coviar_motion",
    "coviar_residual",
    "h264_parameter_sets",
]

Convention = Literal["previous", "iframe"]
Compensation = Literal["whole", "bilinear"]
Sign = Literal["ffmpeg", "coviar"]

REMEDY = "re-encode it: vtbench data prepare --mpeg4 SOURCE TARGET"

# Codecs, by FFmpeg's names, whose vectors it hands out and were looked into. HEVC, VP8, VP9, AV1 and Theora give none.
CODECS = ("mpeg4", "h264", "mpeg2video", "h263", "h263p", "flv1", "wmv2")

BLOCK = 8  # sides and places of all exported blocks are multiples of this

# What is read of FFmpeg's AVMotionVector: the centre is that of the block, where it goes; of the vector the lower half.
_RECORD = np.dtype(
    {
        "names": ["size", "centre", "x", "y", "scale"],
        "formats": [("u1", 2), ("<i2", 2), "<i2", "<i2", "<u2"],
        "offsets": [4, 10, 24, 28, 32],
        "itemsize": 40,
    }
)

# A grid cell no block was written to: no codec has a vector of -32768 sub-pixels.
_UNCOVERED = np.uint32(0x80008000)

_BLANK = av.VideoFrame(16, 16, "gray")

_BAND = 4  # rows of blocks that are compensated at a time

# How far a reference is continued beyond its border. A block (and one pixel more, for interpolation) that lies further
# out sees nothing but border pixels, and so does one just outside.
_MARGIN = BLOCK + 1


# -- vectors to fields ------------------------------------------------------------------------------------------------


def block_vectors(vectors: np.ndarray | None, *, height: int, width: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The vectors of one P-frame on its grid of 8 x 8 blocks.

    vectors: FFmpeg's AVMotionVector records (https://ffmpeg.org/doxygen/trunk/structAVMotionVector.html), None for a
    frame without any. Returns int16 (2, Hb, Wb), x and y in 1/scale pixels, pointing back to the reference; bool
    (Hb, Wb), where there is no vector; and the scale (2 or 4, per codec; 1 without vectors). The grid covers whole
    macroblocks, so blocks reaching over the right and lower border have their place. Raises ValueError for blocks that
    are not on the grid.
    """
    rows, columns = 2 * -(-height // 16), 2 * -(-width // 16)
    if vectors is None or len(vectors) == 0:
        return np.zeros((2, rows, columns), np.int16), np.ones((rows, columns), bool), 1
    vectors = vectors.view(_RECORD)
    size = vectors["size"].copy()
    corner = vectors["centre"].copy()
    corner -= size >> 1
    cell = corner >> 3
    # A negative place is beyond the grid too, as a number without sign.
    beyond = cell.view(np.uint16) >= np.array([columns, rows], np.uint16)
    if beyond.any() or (corner & 7).any() or (size & ~np.uint8(24)).any():
        raise ValueError("has motion vectors off the grid of 8 x 8 blocks")
    # Both components travel as one number. Not source - centre: the source is rounded to whole pixels.
    pairs = np.empty((len(vectors), 2), np.int16)
    pairs[:, 0], pairs[:, 1] = vectors["x"], vectors["y"]
    value = pairs.view(np.uint32)[:, 0]
    flat = np.full(rows * columns, _UNCOVERED)
    at = cell[:, 1].astype(np.intp) * columns + cell[:, 0]
    wide, tall = (size == 16).T
    for beside, among in ((0, None), (1, wide), (columns, tall), (columns + 1, wide & tall)):
        if among is None or among.all():
            flat[at + beside] = value
        elif among.any():
            flat[at[among] + beside] = value[among]
    intra = flat == _UNCOVERED
    flat[intra] = 0
    grid = flat.view(np.int16).reshape(rows, columns, 2).transpose(2, 0, 1)
    return grid, intra.reshape(rows, columns), int(vectors["scale"][0])


def spread(blocks: np.ndarray, out: np.ndarray) -> None:
    """Write each value of blocks (..., Hb, Wb) to its 8 x 8 pixels of out (..., H, W)."""
    height, width = out.shape[-2:]
    lines = np.repeat(blocks, BLOCK, axis=-1)[..., :width]  # (..., Hb, W)
    whole = height // BLOCK
    upper = out[..., : whole * BLOCK, :].reshape(*out.shape[:-2], whole, BLOCK, width)
    upper[...] = lines[..., :whole, None, :]
    out[..., whole * BLOCK :, :] = lines[..., whole : whole + 1, :]


def nearest_pixels(blocks: np.ndarray, scale: int) -> np.ndarray:
    """Vectors in whole pixels, int64: the nearest, halves towards zero. For a scale of 2 the same as cutting off."""
    return np.sign(blocks) * ((2 * np.abs(blocks.astype(np.int64)) + scale - 1) // (2 * scale))


def cut_pixels(blocks: np.ndarray, scale: int) -> np.ndarray:
    """Vectors in whole pixels, int64: fractions cut off, as CoViAR reads them."""
    return np.sign(blocks) * (np.abs(blocks.astype(np.int64)) // scale)


def coviar_motion(motion: np.ndarray) -> np.ndarray:
    """CoViAR's picture of a field (any shape, pixels, CoViAR's sign): uint8, 128 for no motion, 20 pixels to the end.

    clip(int(m * 127.5 / 20) + 128, 0, 255), int cutting towards zero (dataset.py, clip_and_scale). CoViAR's vectors are
    whole pixels; fractions given here are kept as far as the 256 levels go.
    """
    return np.clip(np.trunc(motion * (127.5 / 20)) + 128, 0, 255).astype(np.uint8)


def coviar_residual(residual: np.ndarray) -> np.ndarray:
    """CoViAR's picture of a residual (any shape, -255 to 255): uint8, clip(r + 128, 0, 255). Not invertible."""
    return np.clip(residual + 128, 0, 255).astype(np.uint8)


# -- motion compensation ----------------------------------------------------------------------------------------------
# A picture is uint32 (H, W), four bytes a pixel, so that a pixel moves as one number.


def pad(picture: np.ndarray) -> np.ndarray:
    """The picture with its border pixels repeated outwards, uint32 (H + 2 * _MARGIN, W + 2 * _MARGIN)."""
    height, width = picture.shape
    padded = np.empty((height + 2 * _MARGIN, width + 2 * _MARGIN), np.uint32)
    middle = padded[_MARGIN:-_MARGIN]
    middle[:, _MARGIN:-_MARGIN] = picture
    middle[:, :_MARGIN] = picture[:, :1]
    middle[:, -_MARGIN:] = picture[:, -1:]
    padded[:_MARGIN] = middle[0]
    padded[-_MARGIN:] = middle[-1]
    return padded


def _line_starts(padded: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Where in the flattened padded picture each line of each block begins, moved by `pixels` (2, Hb, Wb):
    int64 (Hb, 8, Wb)."""
    rows, columns = pixels.shape[1:]
    height, width = padded.shape[0] - 2 * _MARGIN, padded.shape[1] - 2 * _MARGIN
    x = np.clip(pixels[0] + BLOCK * np.arange(columns), -_MARGIN, width)
    y = np.clip(pixels[1] + BLOCK * np.arange(rows)[:, None], -_MARGIN, height)
    starts = (y + _MARGIN) * padded.shape[1] + (x + _MARGIN)
    return starts[:, None] + padded.shape[1] * np.arange(BLOCK)[:, None]


def _gather(picture: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The lines of BLOCK pixels that begin at `starts` (Hb, 8, Wb) of the flattened picture, side by side: uint32
    (8 Hb, 8 Wb).

    A line is one item, of which the picture has one beginning at every pixel: eight pixels move as one.
    """
    lines = np.ndarray(picture.size - BLOCK + 1, f"V{4 * BLOCK}", picture, strides=picture.itemsize)
    return lines[starts].view(np.uint32).reshape(BLOCK * starts.shape[0], -1)


def compensate_whole(padded: np.ndarray, blocks: np.ndarray, scale: int) -> np.ndarray:
    """The prediction from vectors int16 (2, Hb, Wb) in 1/scale pixels, each to the nearest pixel: uint32 (H, W)."""
    height, width = padded.shape[0] - 2 * _MARGIN, padded.shape[1] - 2 * _MARGIN
    return _gather(padded, _line_starts(padded, nearest_pixels(blocks, scale)))[:height, :width]


def compensate_bilinear(padded: np.ndarray, blocks: np.ndarray, scale: int) -> np.ndarray:
    """The prediction from vectors int16 (2, Hb, Wb) in 1/scale pixels, between four pixels: uint32 (H, W).

    With fx, fy the fractions in 1/scale: ((s-fx)(s-fy) a + fx(s-fy) b + (s-fx) fy c + fx fy d + s^2/2) // s^2, which is
    MPEG-4's filter for half pixels (ISO/IEC 14496-2, 7.6.2.1, rounding control 0).
    """
    height, width = padded.shape[0] - 2 * _MARGIN, padded.shape[1] - 2 * _MARGIN
    rows, stride = blocks.shape[1], padded.shape[1]
    whole = blocks // np.int16(scale)
    right, lower = (blocks - scale * whole).repeat(BLOCK, axis=2)[:, :, None].astype(np.uint32)
    starts = _line_starts(padded, whole.astype(np.int64))
    result = np.empty((rows, BLOCK, right.shape[-1]), np.uint32)
    # In bands of a few rows of blocks: what is computed in them stays in the processor's cache.
    for band in (slice(top, top + _BAND) for top in range(0, rows, _BAND)):
        four = [_gather(padded, starts[band] + beside) for beside in (0, 1, stride, stride + 1)]
        shape = result[band].shape
        result[band] = _between([pixels.reshape(shape) for pixels in four], right[band], lower[band], scale)
    return result.reshape(rows * BLOCK, -1)[:height, :width]


def _between(four: list[np.ndarray], right: np.ndarray, lower: np.ndarray, scale: int) -> np.ndarray:
    """The mean of four pixels each (uint32), weighted by the fractions `right` and `lower` in 1/scale."""
    left, upper = scale - right, scale - lower
    result = np.zeros_like(four[0])
    # Two of the four bytes at a time, with 16 bits of room for each: 255 s^2 + s^2/2 fits.
    for shift in (0, 8):
        a, b, c, d = ((pixels >> shift) & 0x00FF00FF for pixels in four)
        a *= left
        b *= right
        a += b
        a *= upper
        c *= left
        d *= right
        c += d
        c *= lower
        a += c
        a += (scale * scale // 2) * 0x00010001
        a >>= 2 * scale.bit_length() - 2
        a &= 0x00FF00FF
        a <<= shift
        result |= a
    return result


def accumulate(sources: np.ndarray, blocks: np.ndarray, scale: int) -> np.ndarray:
    """A_t from A_{t-1} and the vectors of frame t: where in the I-frame each pixel comes from.

    sources: int32 (H, W), places in the flattened frame; A_0 counts from 0. Vectors are cut to whole pixels; those that
    leave the frame count as zero, pixel by pixel, as in CoViAR.
    """
    height, width = sources.shape
    mx, my = pixels = cut_pixels(blocks, scale)
    rows, columns = blocks.shape[1:]
    x, y = BLOCK * np.arange(columns), BLOCK * np.arange(rows)[:, None]
    # The first line may begin before the first pixel, and one of the last block reach beyond the last.
    flat = np.pad(sources.reshape(-1), BLOCK).view(np.uint32)
    starts = ((y + my) * width + x + mx)[:, None] + width * np.arange(BLOCK)[:, None]
    result = _gather(flat, BLOCK + np.clip(starts, -BLOCK, height * width))[:height, :width].view(np.int32)
    # Of blocks that reach out of the frame, the pixels that do so stay where they are.
    leaves = (x + mx < 0) | (np.minimum(x + BLOCK, width) + mx > width)
    leaves |= (y + my < 0) | (np.minimum(y + BLOCK, height) + my > height)
    row, column = np.nonzero(leaves)
    mx, my = pixels[:, row, column, None, None]
    y = BLOCK * row[:, None, None] + np.arange(BLOCK)[:, None]
    x = BLOCK * column[:, None, None] + np.arange(BLOCK)
    outside = (x + mx < 0) | (x + mx >= width) | (y + my < 0) | (y + my >= height)
    block, i, j = np.nonzero(outside & (x < width) & (y < height))
    y, x = BLOCK * row[block] + i, BLOCK * column[block] + j
    result[y, x] = sources[y, x]
    return result


# -- the reader -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Triplets:
    """What `CompressedReader.triplets` gives for U frames. Pixels as displayed, rotation applied.

    numbers: int64 (U,), the frames asked for. iframes: uint8 (U, 3, H, W) RGB, the I-frame of each frame's GOP.
    motion: float32 (U, 2, H, W), x and y in pixels. residuals: int16 (U, 3, H, W) RGB, -255 to 255. intra: bool
    (U, H, W), blocks of the frame that have no vector. The channels of iframes and residuals lie side by side in
    memory.
    """

    numbers: np.ndarray
    iframes: np.ndarray
    motion: np.ndarray
    residuals: np.ndarray
    intra: np.ndarray


@dataclass
class _Gop:
    """The GOP that is being read, up to the current frame."""

    first: int
    frames: dict[int, av.VideoFrame]  # by number: the I-frame, the one before the current, the current
    pictures: dict[int, np.ndarray] = field(default_factory=dict)  # those of them that were asked for
    moves: list[tuple[np.ndarray, int]] = field(default_factory=list)  # vectors not yet in `sources`
    sources: np.ndarray | None = None

    def move_on(self, number: int, frame: av.VideoFrame) -> None:
        """Make this the current frame."""
        for kept in (self.frames, self.pictures):
            for old in kept.keys() - {self.first, number - 1}:
                del kept[old]
        self.frames[number] = frame


class CompressedReader(VideoReader):
    """Reads I-frames, motion and residuals of one video file. Use it in a `with` block.

    path: the file. max_gop: frames a GOP may have; CoViAR and MM-ViT re-encode to 12, and vectors followed back
    further mean little.

    Raises VideoError as VideoReader does, and, naming the remedy, for what the bitstream cannot give: codecs without
    vectors, H.264 with more than one reference frame (a vector does not say which it means), B-frames (MPEG-4's come
    out as zero, H.264's refer to frames not yet shown), interlaced pictures, global motion, GOPs over max_gop, files
    without P-frames, and files that do not begin with an I-frame. Files in mp4 and Matroska are refused on opening if
    their packets show it, others when the frames come out.
    """

    def __init__(self, path: str | Path, *, max_gop: int = 12) -> None:
        self.max_gop = max_gop
        self._gops: list[tuple[int, int]] | None = None
        super().__init__(path)
        try:
            if self._index is not None:
                self._gops = self._listed_gops()
        except BaseException:
            self.close()
            raise

    @property
    def gops(self) -> list[tuple[int, int]]:
        """(first, last + 1) frame number of each GOP; `first` is the I-frame. Other than in mp4 and Matroska files,
        finding them takes a decode of the whole file."""
        if self._gops is None:
            firsts: list[int] = []
            times: list[float | None] = []
            for number, frame, _ in self._pictures(None):
                if _is_iframe(frame):
                    firsts.append(number)
                times.append(frame.time)
            self._num_frames = count = len(times)
            self._check_complete(count, "frames")
            self._gops = list(itertools.pairwise([*firsts, count]))
            self._refuse_only_iframes(self._gops)
            if None in times:  # raw streams have no time stamps
                times = [n / float(self._stream.average_rate or 25) for n in range(count)]
            self._seconds = np.array(times, np.float64)
        return list(self._gops)

    @property
    def seconds(self) -> np.ndarray:
        """When each frame is shown, float64 (num_frames,), counted from the first. Streams that state no more than a
        rate count as even. Takes what `gops` takes."""
        gops = self.gops
        assert gops
        return self._seconds - self._seconds[0]

    def triplets(
        self,
        indices: Sequence[int] | np.ndarray,
        *,
        convention: Convention = "previous",
        compensation: Compensation = "whole",
        sign: Sign = "ffmpeg",
    ) -> Triplets:
        """I-frame, motion and residual of the frames at `indices`, in the order asked, from one pass over their GOPs.

        indices: frame numbers in [0, num_frames). convention: see the top of this file. compensation: of the residual,
        "whole" pixels (nearest; "iframe" allows only this) or "bilinear" between pixels, nearer to what the codec did.
        sign: of the motion. A frame that is itself an I-frame has zero motion, zero residual, and is intra everywhere;
        `gops` tells a sampler how to avoid them. Raises IndexError for a number outside the video, ValueError for an
        argument that is none of these.
        """
        return self._read(indices, convention, sign, compensation).triplets()

    def motion(
        self, indices: Sequence[int] | np.ndarray, *, convention: Convention = "previous", sign: Sign = "ffmpeg"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Motion and intra blocks alone, as in `triplets`: float32 (U, 2, H, W) and bool (U, H, W)."""
        read = self._read(indices, convention, sign, None)
        return read.motion, read.intra

    def each_triplet(
        self, *, convention: Convention = "previous", compensation: Compensation = "whole", sign: Sign = "ffmpeg"
    ) -> Iterator[Triplets]:
        """What `triplets` gives for each frame of the file in turn (U = 1), from one pass and with little memory. The
        frames of a GOP share one array of their I-frame, which cannot be written to."""
        return (read.triplets() for read in self._each(convention, sign, compensation))

    def each_motion(
        self, *, convention: Convention = "previous", sign: Sign = "ffmpeg"
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """What `motion` gives for each frame of the file in turn (U = 1), from one pass and with little memory."""
        return ((read.motion, read.intra) for read in self._each(convention, sign, None))

    # -- one pass -----------------------------------------------------------------------------------------------------

    def _read(self, indices: Sequence[int] | np.ndarray, convention: str, sign: str, compensation: str | None) -> _Read:
        _refuse_arguments(convention, sign, compensation)
        numbers = np.array([int(i) for i in indices])
        if not len(numbers):
            raise ValueError("no frame numbers given")
        known = self._num_frames if self._index is None else self.num_frames
        if numbers.min() < 0 or (known is not None and numbers.max() >= known):
            raise IndexError(f"{self.path}: frames {numbers.min()} to {numbers.max()} asked of {known}")
        distinct = {int(n): np.flatnonzero(numbers == n) for n in np.unique(numbers)}
        read, turns = None, 0
        for number, frame, gop in self._pictures(sorted(distinct)):
            if convention == "iframe" and number != gop.first:
                gop.moves.append(self._vectors(frame)[::2])
            if number not in distinct:
                continue
            if read is None:
                read = _Read(numbers, frame.height, frame.width, pixels=compensation is not None)
                turns = round(frame.rotation / 90) % 4
            slots = distinct.pop(number)
            if (frame.height, frame.width) != read.intra.shape[1:]:
                raise self._error("frame size changes within the file")
            if read.packed_iframes is not None:
                read.packed_iframes[slots[0]] = self._picture(gop, gop.first)
            self._fill(read, slots[0], number, gop, convention, sign, compensation)
            read.repeat(slots)
            if not distinct:
                break
        if distinct:
            missing = min(distinct)
            if known is None and missing >= self.num_frames:
                raise IndexError(f"{self.path}: frame {missing} asked of {self.num_frames}")
            raise self._error(f"frame {missing} of {self.num_frames} does not decode")
        assert read is not None
        return read.turned(turns)

    def _each(self, convention: str, sign: str, compensation: str | None) -> Iterator[_Read]:
        _refuse_arguments(convention, sign, compensation)
        for number, frame, gop in self._pictures(None):
            if convention == "iframe" and number != gop.first:
                gop.moves.append(self._vectors(frame)[::2])
            read = _Read(np.array([number]), frame.height, frame.width, pixels=compensation is not None)
            if compensation is not None:
                read.packed_iframes = self._picture(gop, gop.first)[None]
                read.packed_iframes.flags.writeable = False
            self._fill(read, 0, number, gop, convention, sign, compensation)
            yield read.turned(round(frame.rotation / 90) % 4)

    def _fill(
        self,
        read: _Read,
        slot: int,
        number: int,
        gop: _Gop,
        convention: str,
        sign: str,
        compensation: str | None,
    ) -> None:
        """Write what belongs to one asked frame, the GOP's current one."""
        frame = gop.frames[number]
        height, width = frame.height, frame.width
        if number == gop.first:
            read.motion[slot], read.intra[slot] = 0, True
            if read.packed_residuals is not None:
                read.packed_residuals[slot] = 0
            return
        blocks, intra, scale = self._vectors(frame)
        if intra.any():
            spread(intra, read.intra[slot])
        if convention == "previous":
            signed = -blocks if sign == "coviar" else blocks
            spread(signed.astype(np.float32) / np.float32(scale), read.motion[slot])
            if compensation is not None:
                compensate = compensate_bilinear if compensation == "bilinear" else compensate_whole
                prediction = compensate(pad(self._picture(gop, number - 1)), blocks, scale)
        else:
            if gop.sources is None:
                gop.sources = np.arange(height * width, dtype=np.int32).reshape(height, width)
            for moves, moves_scale in gop.moves:
                gop.sources = accumulate(gop.sources, moves, moves_scale)
            gop.moves.clear()
            from_y = gop.sources // width
            from_x = gop.sources - from_y * width
            read.motion[slot, 0] = from_x - np.arange(width, dtype=np.int32)
            read.motion[slot, 1] = from_y - np.arange(height, dtype=np.int32)[:, None]
            if sign == "coviar":
                np.subtract(0, read.motion[slot], out=read.motion[slot])  # unlike negation, without -0
            if compensation is not None:
                prediction = self._picture(gop, gop.first).ravel().take(gop.sources, mode="clip")
        if read.packed_residuals is not None:
            shown = self._picture(gop, number).view(np.uint8)
            residual = read.packed_residuals[slot].reshape(height, 4 * width)
            np.subtract(shown, prediction.view(np.uint8), out=residual, dtype=np.int16)

    def _pictures(self, asked: Sequence[int] | None) -> Iterator[tuple[int, av.VideoFrame, _Gop]]:
        """(number, frame, its GOP) of at least the asked frames and all before them in their GOPs; None: of all."""
        if self._index is not None and asked is not None:
            assert self._gops is not None
            needed: set[int] = set()
            firsts = np.array([first for first, _ in self._gops])
            for number in asked:
                first = int(firsts[np.searchsorted(firsts, number, side="right") - 1])
                needed.update(range(first, number + 1))
            frames = self._indexed(needed)
        else:
            frames = enumerate(self.sequential())
        gop, last = None, -1
        starts = None if self._gops is None else {first for first, _ in self._gops}
        for number, frame in frames:
            if starts is not None and _is_iframe(frame) != (number in starts):
                raise self._error(
                    f"has an I-frame where its packets show none, or none where they do ({number}); {REMEDY}"
                )
            if _is_iframe(frame):
                gop = _Gop(number, {})
            elif gop is None or number != last + 1:
                raise self._error(f"frame {number} does not follow an I-frame; {REMEDY}")
            self._refuse_picture(number, frame, gop)
            gop.move_on(number, frame)
            yield number, frame, gop
            # A frame and its side data hold each other (PyAV 18): hundreds of them, at times gigabytes, would wait for
            # the garbage collector, and the decoder work in ever new memory. Now they hold this one, which is blank.
            frame.side_data.__init__(_BLANK)
            last = number

    def _vectors(self, frame: av.VideoFrame) -> tuple[np.ndarray, np.ndarray, int]:
        found = frame.side_data.get("MOTION_VECTORS")
        if found is None and self._stream.codec_context.has_b_frames and self._stream.codec_context.name != "h264":
            raise self._error(f"holds back frames, of which the last comes without vectors; {REMEDY}")
        try:
            vectors = None if found is None else found.to_ndarray()
            return block_vectors(vectors, height=frame.height, width=frame.width)
        except ValueError as error:
            raise self._error(f"{error}; {REMEDY}") from error

    def _picture(self, gop: _Gop, number: int) -> np.ndarray:
        """uint32 (H, W) of a frame that the GOP keeps, as stored: red, green, blue and a byte without meaning."""
        if number not in gop.pictures:
            frame = gop.frames[number]
            # Not rgba: for widths such as 340 swscale leaves the last four columns of it unwritten. Here the fourth
            # byte of a pixel is the first of the next.
            plane = self._rgb.reformat(frame, format="rgb24", threads=1).planes[0]
            data = np.frombuffer(memoryview(plane), np.uint8)
            if plane.line_size == 3 * frame.width:
                data = np.append(data, np.uint8(0))
            strides = (plane.line_size, 3)
            gop.pictures[number] = np.ndarray((frame.height, frame.width), np.uint32, data, strides=strides).copy()
        return gop.pictures[number]

    # -- refusals -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        super()._open()
        context = self._stream.codec_context
        name = context.codec.canonical_name
        if name not in CODECS:
            raise self._error(f"{name} gives no usable motion vectors; {REMEDY}")
        context.flags2 |= Flags2.export_mvs
        # Frames come out at once. Of a frame held back to the end, as for B-frames, FFmpeg forgets the vectors.
        context.flags |= Flags.low_delay
        self._disposable: int | None = None
        self._iframes: list[bool] = []  # of the packets seen
        self._nal_length = 0
        self._frame_num: int | None = None  # H.264's count of frames that others refer to
        self._frame_num_bits: int | None = None
        if name == "h264":
            extradata = context.extradata or b""
            # avcC: packets begin their units with a length of this many bytes; otherwise with a start code.
            self._nal_length = (extradata[4] & 3) + 1 if extradata[:1] == b"\x01" else 0
            self._refuse_h264(h264_parameter_sets(extradata))

    def _refuse_h264(self, parameter_sets: list[H264ParameterSet]) -> None:
        if not parameter_sets:
            raise self._error(f"states no number of reference frames (no SPS in its header); {REMEDY}")
        # Which set a frame uses is not looked up: where they disagree, its number is not known.
        lengths = {p.frame_num_bits for p in parameter_sets}
        lengths |= set() if self._frame_num_bits is None else {self._frame_num_bits}
        self._frame_num_bits = lengths.pop() if len(lengths) == 1 else 0
        references = max(p.max_num_ref_frames for p in parameter_sets)
        if references > 1:
            raise self._error(f"uses up to {references} reference frames, and no vector says which; {REMEDY}")
        if any(p.interlaced for p in parameter_sets):
            raise self._error(f"is coded for interlaced pictures; {REMEDY}")
        if any(p.crop_left or p.crop_top for p in parameter_sets):
            raise self._error(f"is cut at its left or upper border; {REMEDY}")

    def _inspect(self, packet: av.Packet) -> None:
        """Notice I-frames, and H.264 frames that no other refers to: what follows them is not predicted from them."""
        if self._stream.codec_context.name != "h264":
            self._iframes.append(packet.is_keyframe)
            return
        # Containers mark only the I-frames at which one may begin to watch. With a single reference frame, all do.
        only_i, counted = True, False
        for unit in _nal_units(bytes(packet), self._nal_length):
            kind = unit[0] & 31
            if kind == 7:  # other parameters from here on
                self._refuse_h264([_parameter_set(unit)])
            if kind in (1, 5):  # a slice; bits 5 and 6 are nal_ref_idc
                bits = _Bits(_unescaped(unit[1:24]))
                bits.exp_golomb()  # first_mb_in_slice
                only_i = only_i and bits.exp_golomb() % 5 == 2  # slice_type
                if not unit[0] & 0x60 and self._disposable is None:
                    self._disposable = len(self._iframes)
                if self._frame_num_bits and not counted:
                    counted = True
                    bits.exp_golomb()  # pic_parameter_set_id
                    self._refuse_gap(bits.number(self._frame_num_bits), at_start=kind == 5)
        self._iframes.append(only_i)

    def _refuse_gap(self, frame_num: int, *, at_start: bool) -> None:
        """Every frame that is referred to has the number after that of the one before, 0 where decoding may start
        (ITU-T H.264, 7.4.3). Where every frame is, a gap is a frame that is gone, which FFmpeg makes up without a
        word."""
        count = 1 << (self._frame_num_bits or 0)
        expected = None if at_start or self._frame_num is None else (self._frame_num + 1) % count
        self._frame_num = frame_num
        if expected not in (None, frame_num) and self._disposable is None:
            raise self._error(f"lacks a frame before packet {len(self._iframes)}; get the file again, or {REMEDY}")

    def _listed_gops(self) -> list[tuple[int, int]]:
        """The GOPs by the packets alone, where each is a frame."""
        index = self._index
        assert index is not None
        whole = False  # whether an I-frame has been shown since frames were hidden
        for stamp, intra in zip(index.pts, self._iframes, strict=True):
            whole = stamp is not None and (whole or intra)
            if stamp is not None and not whole:
                raise self._error(f"hides frames that later ones are predicted from (by its edit list); {REMEDY}")
        shown = [stamp for stamp in index.pts if stamp is not None]
        if any(later < stamp for stamp, later in itertools.pairwise(shown)):
            raise self._error(f"has B-frames; {REMEDY}")
        if self._disposable is not None:
            raise self._error(
                f"has frames that the next one is not predicted from (packet {self._disposable}); {REMEDY}"
            )
        self._seconds = np.array(shown, np.float64) * float(self._stream.time_base)
        firsts = [index.number[t] for t, intra in zip(index.pts, self._iframes, strict=True) if intra and t is not None]
        gops = list(itertools.pairwise([*firsts, len(shown)]))
        longest = max(last - first for first, last in gops)
        if longest > self.max_gop:
            raise self._error(f"has a GOP of {longest} frames, more than {self.max_gop}; {REMEDY}")
        self._refuse_only_iframes(gops)
        return gops

    def _refuse_only_iframes(self, gops: list[tuple[int, int]]) -> None:
        if all(last - first == 1 for first, last in gops):
            raise self._error(f"has no P-frames, only {len(gops)} I-frames; {REMEDY}")

    def _refuse_picture(self, number: int, frame: av.VideoFrame, gop: _Gop) -> None:
        kind = frame.pict_type
        if kind in (PictureType.B, PictureType.BI):
            raise self._error(f"has B-frames; {REMEDY}")
        if kind not in (PictureType.I, PictureType.P):
            raise self._error(f"has frames with global motion (frame {number}); {REMEDY}")
        if self._disposable is not None:
            raise self._error(
                f"has frames that the next one is not predicted from (packet {self._disposable}); {REMEDY}"
            )
        if kind == PictureType.I and "MOTION_VECTORS" in frame.side_data:
            raise self._error(f"mixes I and P in one picture (frame {number}); {REMEDY}")
        if frame.interlaced_frame:
            raise self._error(f"has interlaced pictures (frame {number}); {REMEDY}")
        if number - gop.first >= self.max_gop:
            raise self._error(f"has a GOP of more than {self.max_gop} frames (from frame {gop.first}); {REMEDY}")


def _refuse_arguments(convention: str, sign: str, compensation: str | None) -> None:
    if convention not in ("previous", "iframe") or sign not in ("ffmpeg", "coviar"):
        raise ValueError(f"convention '{convention}' with sign '{sign}'")
    if compensation not in ("whole", "bilinear", None) or (compensation == "bilinear" and convention == "iframe"):
        raise ValueError(f"compensation '{compensation}' with convention '{convention}'")


def _is_iframe(frame: av.VideoFrame) -> bool:
    return bool(frame.pict_type == PictureType.I)


class _Read:
    """The arrays that one pass fills. The packed ones have a fourth channel, which is left out of what is handed on."""

    def __init__(self, numbers: np.ndarray, height: int, width: int, *, pixels: bool) -> None:
        count = len(numbers)
        self.numbers = numbers
        self.motion = np.empty((count, 2, height, width), np.float32)
        self.intra = np.zeros((count, height, width), bool)
        self.packed_iframes = np.empty((count, height, width), np.uint32) if pixels else None
        self.packed_residuals = np.empty((count, height, width, 4), np.int16) if pixels else None
        self.iframes: np.ndarray | None = None
        self.residuals: np.ndarray | None = None

    def repeat(self, slots: np.ndarray) -> None:
        """Copy what is in the first slot to the others."""
        for array in (self.motion, self.intra, self.packed_iframes, self.packed_residuals):
            if array is not None and len(slots) > 1:
                array[slots[1:]] = array[slots[0]]

    def triplets(self) -> Triplets:
        """All of it, where pixels were asked for."""
        assert self.iframes is not None and self.residuals is not None
        return Triplets(self.numbers, self.iframes, self.motion, self.residuals, self.intra)

    def turned(self, turns: int) -> _Read:
        """As displayed, after that many quarter turns counterclockwise; channels second."""
        if self.packed_iframes is not None and self.packed_residuals is not None:
            bytes_ = self.packed_iframes.view(np.uint8).reshape(self.packed_residuals.shape)
            self.iframes = _turn(bytes_[..., :3], turns, axes=(1, 2)).transpose(0, 3, 1, 2)
            self.residuals = _turn(self.packed_residuals[..., :3], turns, axes=(1, 2)).transpose(0, 3, 1, 2)
        self.motion, self.intra = _turn(self.motion, turns, axes=(2, 3)), _turn(self.intra, turns, axes=(1, 2))
        for _ in range(turns):  # a vector to the right points up afterwards, one down to the right
            self.motion = np.stack([self.motion[:, 1], -self.motion[:, 0]], axis=1)
        return self


def _turn(array: np.ndarray, turns: int, *, axes: tuple[int, int]) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(array, turns, axes=axes)) if turns else array


# -- H.264's header ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class H264ParameterSet:
    """What matters here of a sequence parameter set (ITU-T H.264, 7.3.2.1.1).

    frame_num_bits: length of a slice's frame_num, 0 if it is not looked for. max_num_ref_frames. interlaced:
    frame_mbs_only_flag is 0. crop_left, crop_top: frame_crop_*_offset, in its units.
    """

    frame_num_bits: int
    max_num_ref_frames: int
    interlaced: bool
    crop_left: int
    crop_top: int


def h264_parameter_sets(extradata: bytes) -> list[H264ParameterSet]:
    """The sequence parameter sets in a stream's header, which is an avcC box (mp4, Matroska) or Annex B (others)."""
    if extradata[:1] == b"\x01":  # avcC: ISO/IEC 14496-15, 5.3.3.1
        units, at = [], 6
        for _ in range(extradata[5] & 31 if len(extradata) > 5 else 0):
            length = int.from_bytes(extradata[at : at + 2], "big")
            units.append(extradata[at + 2 : at + 2 + length])
            at += 2 + length
    else:
        units = list(_nal_units(extradata, 0))
    return [_parameter_set(unit) for unit in units if unit and unit[0] & 31 == 7]


def _nal_units(data: bytes, length_size: int) -> Iterator[bytes]:
    """The non-empty units of a packet, each after its length of that many bytes, or after a start code if 0."""
    if length_size:
        at = 0
        while at + length_size < len(data):
            length = int.from_bytes(data[at : at + length_size], "big")
            at += length_size
            if length:
                yield data[at : at + length]
            at += length
    else:
        for unit in data.split(b"\x00\x00\x01")[1:]:
            if unit:
                yield unit


def _unescaped(data: bytes) -> bytes:
    """Without the bytes that keep start codes from appearing in a unit (emulation prevention, 7.4.1)."""
    return data.replace(b"\x00\x00\x03", b"\x00\x00")


class _Bits:
    """Reads a bit string from its first bit; zeros after the end."""

    def __init__(self, data: bytes) -> None:
        self.bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}" if data else ""
        self.at = 0

    def number(self, length: int) -> int:
        """An unsigned number of `length` bits."""
        self.at += length
        return int("0" + self.bits[self.at - length : self.at], 2)

    def exp_golomb(self) -> int:
        """ue(v), ITU-T H.264, 9.1: n zeros, then n + 1 bits of the value + 1."""
        one = self.bits.find("1", self.at)
        if one < 0:
            return 0
        zeros, self.at = one - self.at, one
        return self.number(zeros + 1) - 1

    def signed_exp_golomb(self) -> int:
        """se(v), ITU-T H.264, 9.1.1."""
        code = self.exp_golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)


# Profiles whose parameter sets describe the samples and scaling matrices (ITU-T H.264, 7.3.2.1.1).
_HIGH_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)


def _parameter_set(unit: bytes) -> H264ParameterSet:
    bits = _Bits(_unescaped(unit[1:]))
    profile = bits.number(8)
    bits.number(16)  # constraint flags, level_idc
    bits.exp_golomb()  # seq_parameter_set_id
    separate_planes = False
    if profile in _HIGH_PROFILES:
        chroma_format = bits.exp_golomb()
        if chroma_format == 3:
            separate_planes = bool(bits.number(1))
        bits.exp_golomb(), bits.exp_golomb()  # bit depths
        bits.number(1)  # qpprime_y_zero_transform_bypass_flag
        if bits.number(1):  # seq_scaling_matrix_present_flag
            for k in range(8 if chroma_format != 3 else 12):
                if bits.number(1):
                    _skip_scaling_list(bits, 16 if k < 6 else 64)
    frame_num_bits = bits.exp_golomb() + 4  # log2_max_frame_num_minus4
    order = bits.exp_golomb()  # pic_order_cnt_type
    if order == 0:
        bits.exp_golomb()
    elif order == 1:
        bits.number(1)
        bits.signed_exp_golomb(), bits.signed_exp_golomb()
        for _ in range(min(bits.exp_golomb(), 255)):
            bits.signed_exp_golomb()
    references = bits.exp_golomb()
    bits.number(1)  # gaps_in_frame_num_value_allowed_flag
    bits.exp_golomb(), bits.exp_golomb()  # width and height in macroblocks
    frames_only = bits.number(1)
    if not frames_only:
        bits.number(1)  # mb_adaptive_frame_field_flag
    bits.number(1)  # direct_8x8_inference_flag
    left, _, top, _ = [bits.exp_golomb() for _ in range(4)] if bits.number(1) else (0, 0, 0, 0)
    # With planes on their own, frame_num is not where it is looked for.
    return H264ParameterSet(0 if separate_planes else frame_num_bits, references, not frames_only, left, top)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    """7.3.2.1.1.1."""
    last = scale = 8
    for _ in range(size):
        if scale:
            scale = (last + bits.signed_exp_golomb() + 256) % 256
        last = scale or last
