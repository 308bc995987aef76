"""From the motion vectors of blocks to fields and predictions, in numpy. vtbench.video.compressed has the conventions.

A picture is uint32 (H, W), four bytes a pixel, so that a pixel moves as one number. Letters: H W the frame's sides in
pixels, Hb Wb those of its grid of 8 x 8 blocks.
"""

from __future__ import annotations

import numpy as np

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
