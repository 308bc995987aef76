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

Letters: U frames asked for, H W the frame's sides in pixels. The fields and predictions are made in motion.py, H.264's
headers read in codecs/h264.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import av
import numpy as np
from av.codec.context import Flags, Flags2
from av.video.frame import PictureType

from vtbench.video.codecs.h264 import H264Frames
from vtbench.video.decode import VideoReader
from vtbench.video.display import Display, display_of, forget_side_data
from vtbench.video.files import refuse_amount
from vtbench.video.motion import accumulate, block_vectors, compensate_bilinear, compensate_whole, pad, spread
from vtbench.video.triplets import Gop, TripletArrays, Triplets, packed

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["CompressedReader", "Convention", "Triplets"]

Convention = Literal["previous", "iframe"]
Compensation = Literal["whole", "bilinear"]
Sign = Literal["ffmpeg", "coviar"]

REMEDY = "re-encode it: vtbench data prepare --mpeg4 SOURCE TARGET"

# Codecs, by FFmpeg's names, whose vectors it hands out and were looked into. HEVC, VP8, VP9, AV1 and Theora give none.
CODECS = ("mpeg4", "h264", "mpeg2video", "h263", "h263p", "flv1", "wmv2")

_AT_ONCE = 12  # frames whose vectors are taken to the grid together


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
        self._decodes_pixels = True
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
            for number, frame, _ in self._pictures(None, pixels=False):
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
        return (read.triplets() for read in self._frame_by_frame(convention, sign, compensation))

    def each_motion(
        self, *, convention: Convention = "previous", sign: Sign = "ffmpeg"
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """What `motion` gives for each frame of the file in turn (U = 1), from one pass and with little memory."""
        frames = self._vectors_as_coded(sign) if convention == "previous" else None
        return ((read.motion, read.intra) for read in frames or self._frame_by_frame(convention, sign, None))

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """As VideoReader's."""
        self._decode(pixels=True)
        return super().frames(indices)

    def sequential(self) -> Iterator[av.VideoFrame]:
        """As VideoReader's."""
        self._decode(pixels=True)
        return super().sequential()

    # -- one pass -----------------------------------------------------------------------------------------------------

    def _read(
        self, indices: Sequence[int] | np.ndarray, convention: str, sign: str, compensation: str | None
    ) -> TripletArrays:
        _refuse_arguments(convention, sign, compensation)
        numbers = np.array([int(i) for i in indices])
        if not len(numbers):
            raise ValueError("no frame numbers given")
        known = self._num_frames if self._index is None else self.num_frames
        if numbers.min() < 0 or (known is not None and numbers.max() >= known):
            raise IndexError(f"{self.path}: frames {numbers.min()} to {numbers.max()} asked of {known}")
        distinct = {int(n): np.flatnonzero(numbers == n) for n in np.unique(numbers)}
        read, display = None, Display()
        for number, frame, gop in self._pictures(sorted(distinct), pixels=compensation is not None):
            if convention == "iframe" and number != gop.first:
                gop.moves.append(self._vectors(frame)[::2])
            if number not in distinct:
                continue
            if read is None:
                refuse_amount(self.path, len(numbers), frame.width, frame.height, 21 if compensation else 9)
                read = TripletArrays(numbers, frame.height, frame.width, pixels=compensation is not None)
                display = display_of(frame, self.path)
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
        return read.displayed(display)

    def _frame_by_frame(self, convention: str, sign: str, compensation: str | None) -> Iterator[TripletArrays]:
        _refuse_arguments(convention, sign, compensation)
        pixels = compensation is not None
        for number, frame, gop in self._pictures(None, pixels=pixels):
            if convention == "iframe" and number != gop.first:
                gop.moves.append(self._vectors(frame)[::2])
            iframe = self._picture(gop, gop.first) if pixels else None
            read = TripletArrays(np.array([number]), frame.height, frame.width, pixels=pixels, iframe=iframe)
            self._fill(read, 0, number, gop, convention, sign, compensation)
            yield read.displayed(display_of(frame, self.path))

    def _fill(
        self,
        read: TripletArrays,
        slot: int,
        number: int,
        gop: Gop,
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
            spread(np.divide(signed, scale, dtype=np.float32), read.motion[slot])
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

    def _vectors_as_coded(self, sign: str) -> Iterator[TripletArrays]:
        """Frame by frame, but taking several to their grids at once: numpy takes longer to begin than for one."""
        _refuse_arguments("previous", sign, None)
        waiting: list[tuple[int, Display, bytes | None]] = []
        sides = 0, 0
        for number, frame, _ in self._pictures(None, pixels=False):
            if waiting and (len(waiting) == _AT_ONCE or sides != (frame.height, frame.width)):
                yield from self._spread(waiting, sign, *sides)
                waiting = []
            sides = frame.height, frame.width
            records = self._records(frame)
            waiting.append((number, display_of(frame, self.path), None if records is None else bytes(records)))
        if waiting:
            yield from self._spread(waiting, sign, *sides)

    def _spread(
        self, waiting: list[tuple[int, Display, bytes | None]], sign: str, height: int, width: int
    ) -> Iterator[TripletArrays]:
        blocks, intra, scale = self._blocks([records for *_, records in waiting], height, width)
        moves = np.divide(-blocks if sign == "coviar" else blocks, scale, dtype=np.float32)
        for (number, display, _), move, without in zip(waiting, moves, intra, strict=True):
            read = TripletArrays(np.array([number]), height, width, pixels=False)
            spread(move, read.motion[0])
            if without.any():
                spread(without, read.intra[0])
            yield read.displayed(display)

    def _pictures(self, asked: Sequence[int] | None, *, pixels: bool) -> Iterator[tuple[int, av.VideoFrame, Gop]]:
        """(number, frame, its GOP) of at least the asked frames and all before them in their GOPs; None: of all."""
        self._decode(pixels=pixels)
        if self._index is not None and asked is not None:
            assert self._gops is not None
            needed: set[int] = set()
            firsts = np.array([first for first, _ in self._gops])
            for number in asked:
                first = int(firsts[np.searchsorted(firsts, number, side="right") - 1])
                needed.update(range(first, number + 1))
            frames = self._indexed(needed)
        else:
            frames = enumerate(super().sequential())
        gop, last = None, -1
        starts = None if self._gops is None else {first for first, _ in self._gops}
        for number, frame in frames:
            if starts is not None and _is_iframe(frame) != (number in starts):
                raise self._error(
                    f"has an I-frame where its packets show none, or none where they do ({number}); {REMEDY}"
                )
            if _is_iframe(frame):
                gop = Gop(number, {})
            elif gop is None or number != last + 1:
                raise self._error(f"frame {number} does not follow an I-frame; {REMEDY}")
            self._refuse_picture(number, frame, gop)
            gop.move_on(number, frame)
            yield number, frame, gop
            forget_side_data(frame)
            last = number

    def _records(self, frame: av.VideoFrame) -> Buffer | None:
        found = frame.side_data.get("MOTION_VECTORS")
        if found is None and self._stream.codec_context.has_b_frames and self._stream.codec_context.name != "h264":
            raise self._error(f"holds back frames, of which the last comes without vectors; {REMEDY}")
        return found

    def _vectors(self, frame: av.VideoFrame) -> tuple[np.ndarray, np.ndarray, int]:
        blocks, intra, scale = self._blocks([self._records(frame)], frame.height, frame.width)
        return blocks[0], intra[0], scale

    def _blocks(self, records: list[Buffer | None], height: int, width: int) -> tuple[np.ndarray, np.ndarray, int]:
        try:
            return block_vectors(records, height=height, width=width)
        except ValueError as error:
            raise self._error(f"{error}; {REMEDY}") from error

    def _picture(self, gop: Gop, number: int) -> np.ndarray:
        """uint32 (H, W) of a frame that the GOP keeps, as stored: red, green, blue and a byte without meaning."""
        if number not in gop.pictures:
            gop.pictures[number] = packed(self._rgb.reformat(gop.frames[number], format="rgb24", threads=1))
        return gop.pictures[number]

    # -- refusals -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        super()._open()
        context = self._stream.codec_context
        name = context.codec.canonical_name
        if name not in CODECS:
            raise self._error(f"{name} gives no usable motion vectors; {REMEDY}")
        context.flags2 |= Flags2.export_mvs
        self._set_options()
        # Frames come out at once. Of a frame held back to the end, as for B-frames, FFmpeg forgets the vectors.
        context.flags |= Flags.low_delay
        self._h264 = None
        self._marked: list[bool] = []  # which packets seen are I-frames, other than H.264's
        if name == "h264":
            try:
                self._h264 = H264Frames(bytes(context.extradata or b""))
            except ValueError as error:
                raise self._error(f"{error}; {REMEDY}") from error

    def _decode(self, *, pixels: bool) -> None:
        """Have the next frames decoded with or without their pixels."""
        if pixels != self._decodes_pixels:
            self._decodes_pixels = pixels
            if self._stream.codec_context.is_open:
                self._open()
            else:
                self._set_options()

    def _set_options(self) -> None:
        # No vector depends on a pixel. FFmpeg then leaves out what takes a fifth of its time.
        without = {} if self._decodes_pixels else {"skip_idct": "all", "skip_loop_filter": "all"}
        self._stream.codec_context.options = without

    def _inspect(self, packet: av.Packet) -> None:
        """Notice I-frames, and H.264 frames that no other refers to: what follows them is not predicted from them."""
        if self._h264 is None:
            self._marked.append(packet.is_keyframe and self._rules.is_start(packet))
            return
        try:
            missing = self._h264.add(bytes(packet))
        except ValueError as error:
            raise self._error(f"{error}; {REMEDY}") from error
        if missing:
            count = len(self._h264.iframes) - 1
            raise self._error(f"lacks a frame before packet {count}; get the file again, or {REMEDY}")

    def _refuse_disposable(self) -> None:
        packet = None if self._h264 is None else self._h264.disposable
        if packet is not None:
            raise self._error(f"has frames that the next one is not predicted from (packet {packet}); {REMEDY}")

    def _listed_gops(self) -> list[tuple[int, int]]:
        """The GOPs by the packets alone, where each is a frame."""
        index = self._index
        assert index is not None
        iframes = self._marked if self._h264 is None else self._h264.iframes
        whole = False  # whether an I-frame has been shown since frames were hidden
        for stamp, intra in zip(index.pts, iframes, strict=True):
            whole = stamp is not None and (whole or intra)
            if stamp is not None and not whole:
                raise self._error(f"hides frames that later ones are predicted from (by its edit list); {REMEDY}")
        shown = [stamp for stamp in index.pts if stamp is not None]
        if any(later < stamp for stamp, later in itertools.pairwise(shown)):
            raise self._error(f"has B-frames; {REMEDY}")
        self._refuse_disposable()
        times = [t for t, stamp in zip(index.stamps, index.pts, strict=True) if stamp is not None]
        self._seconds = np.array(times, np.float64) * float(self._stream.time_base)
        firsts = [index.number[t] for t, intra in zip(index.pts, iframes, strict=True) if intra and t is not None]
        gops = list(itertools.pairwise([*firsts, len(shown)]))
        longest = max(last - first for first, last in gops)
        if longest > self.max_gop:
            raise self._error(f"has a GOP of {longest} frames, more than {self.max_gop}; {REMEDY}")
        self._refuse_only_iframes(gops)
        return gops

    def _refuse_only_iframes(self, gops: list[tuple[int, int]]) -> None:
        if all(last - first == 1 for first, last in gops):
            raise self._error(f"has no P-frames, only {len(gops)} I-frames; {REMEDY}")

    def _refuse_picture(self, number: int, frame: av.VideoFrame, gop: Gop) -> None:
        kind = frame.pict_type
        if kind in (PictureType.B, PictureType.BI):
            raise self._error(f"has B-frames; {REMEDY}")
        if kind not in (PictureType.I, PictureType.P):
            raise self._error(f"has frames with global motion (frame {number}); {REMEDY}")
        self._refuse_disposable()
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
