"""From the motion vectors of blocks to fields and predictions, in numpy. vtbench.video.compressed has the conventions.

A picture is uint32 (H, W), four bytes a pixel, so that a pixel moves as one number. Letters: H W the frame's sides in
pixels, Hb Wb those of its grid of 8 x 8 blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "BLOCK",
    "accumulate",
    "block_vectors",
    "compensate_bilinear",
    "compensate_whole",
    "coviar_motion",
    "coviar_residual",
    "pad",
    "spread",
]

BLOCK = 8  # sides and places of all exported blocks are multiples of this

# Where in FFmpeg's AVMotionVector, of 20 words of 16 bits, stand: the block's sides, a byte each; its centre, where it
# goes, from this byte on; the lower half of the vector's x, that of y, and the scale.
_WORDS, _SIZE, _CENTRE_BYTE, _X, _Y, _SCALE = 20, 2, 10, 12, 14, 16

# A grid cell no block was written to: no codec has a vector of -32768 sub-pixels.
_UNCOVERED = np.uint32(0x80008000)

_BAND = 4  # rows of blocks that are compensated at a time

# How far a reference is continued beyond its border. A block (and one pixel more, for interpolation) that lies further
# out sees nothing but border pixels, and so does one just outside.
_MARGIN = BLOCK + 1


# -- vectors to fields ------------------------------------------------------------------------------------------------


def block_vectors(frames: Sequence[Buffer | None], *, height: int, width: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The vectors of P-frames of one stream on their grids of 8 x 8 blocks.

    frames: FFmpeg's AVMotionVector records (https://ffmpeg.org/doxygen/trunk/structAVMotionVector.html) of each of F
    frames, None for one without any. Returns int16 (F, 2, Hb, Wb), x and y in 1/scale pixels, pointing back to the
    reference; bool (F, Hb, Wb), where there is no vector; and the scale (2 or 4, per codec; 1 without vectors). The
    grid covers whole macroblocks, so blocks reaching over the right and lower border have their place. Raises
    ValueError for blocks that are not on the grid.
    """
    rows, columns = 2 * -(-height // 16), 2 * -(-width // 16)
    records = [memoryview(b"" if vectors is None else vectors).cast("B") for vectors in frames]
    words = np.frombuffer(b"".join(records) if len(records) > 1 else records[0], np.uint16).reshape(-1, _WORDS)
    if len(words) == 0:
        return np.zeros((len(frames), 2, rows, columns), np.int16), np.ones((len(frames), rows, columns), bool), 1
    # Two numbers of 16 bits travel as one of 32: x and y of a centre, of a corner, of a vector.
    size = words[:, _SIZE].astype(np.uint32)
    corner = np.ndarray(len(words), np.uint32, words, _CENTRE_BYTE, (2 * _WORDS,)) - 0x00080008
    # Where all blocks are macroblocks, as in most frames, these are placed and then divided.
    whole = bool((size == 0x1010).all()) and not (corner & 0x000F000F).any()
    if not whole:
        corner += 0x00080008 - (size >> 1 & 0xC | (size & 0x1800) << 7)
    # Negative numbers and differences have their upper bit set.
    last = np.uint32((rows * BLOCK - 1) << 16 | (columns * BLOCK - 1))
    wrong = (corner | (last - corner)) & 0x80008000
    if not whole:
        wrong |= (corner & 0x00070007) | (size & 0xE7E7)
    if wrong.any():
        raise ValueError("has motion vectors off the grid of 8 x 8 blocks")
    # Not source - centre: the source is rounded to whole pixels.
    value = np.ascontiguousarray(words[:, _X : _Y + 1 : 2]).view(np.uint32)[:, 0]
    if whole:
        shift, rows, columns = 4, rows // 2, columns // 2
    else:
        shift = 3
    flat = np.full(len(frames) * rows * columns, _UNCOVERED)
    at = (corner >> 16 + shift) * np.uint32(columns) + ((corner & 0xFFFF) >> shift)
    if len(frames) > 1:
        counts = [len(vectors) // (2 * _WORDS) for vectors in records]
        at += np.repeat(np.arange(len(frames), dtype=np.uint32) * np.uint32(rows * columns), counts)
    flat[at] = value
    if not whole:
        wide, tall = size & 0x10 > 0, size & 0x1000 > 0
        for beside, among in ((1, wide), (columns, tall), (columns + 1, wide & tall)):
            flat[at[among] + beside] = value[among]
    intra = flat == _UNCOVERED
    flat[intra] = 0
    grid, without = flat.reshape(-1, rows, columns), intra.reshape(-1, rows, columns)
    if whole:
        grid, without = (array.repeat(2, axis=1).repeat(2, axis=2) for array in (grid, without))
    return grid.view(np.int16).reshape(*grid.shape, 2).transpose(0, 3, 1, 2), without, int(words[0, _SCALE])


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
