"""GPUs by name, with the peak of their arithmetic as the makers give it, for estimates of hours."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vtbench.errors import UsageError, unknown


@dataclass(frozen=True, kw_only=True)
class Device:
    """A GPU, or one of a given peak."""

    title: str
    tflops_16: float
    """1e12 floating-point operations a second, a multiply-add being two: dense, in 16 bit with sums in 32 (tensor cores
    where it has them)."""
    tflops_32: float
    """The same in 32 bit without TF32, which torch does not use for matrices unless asked to."""
    utilisation: float | None = None
    """The share of the peak that was asked for; None: UTILISATION, unless its speed was measured."""
    pattern: str = r"(?!)"
    """What its name in speed.csv contains; of one that is none, nothing."""

    def is_called(self, name: str) -> bool:
        """Whether torch's name of a GPU is of this one."""
        return re.search(rf"\b({self.pattern})\b", name, re.IGNORECASE) is not None

    def peak(self, precision: str) -> float:
        """Tflop/s at a precision, in Lightning's words."""
        return self.tflops_32 if precision.startswith("32") else self.tflops_16

    def share(self, precision: str) -> float:
        """The share of the peak that an estimate takes."""
        return self.utilisation or UTILISATION["32" if precision.startswith("32") else "16"]

    def words(self, precision: str) -> str:
        """Peak and share for a reader."""
        stated = f"{self.share(precision):.0%} of {self.peak(precision):g} Tflop/s"
        at = "32 bit" if precision.startswith("32") else "16 bit"
        return stated if self.tflops_16 == self.tflops_32 else f"{stated}, the peak of {self.title} at {at}"


UTILISATION = {"16": 0.3, "32": 0.45}
"""The share of the peak that training reaches, where nothing was measured. On NVIDIA H200, vtbench's own speed.csv has
0.40 to 0.67 at 32 bit, and at 16 bit, with 2 to 4 clips a pass, 0.13 to 0.31 for ViT-B (0.02 to 0.04 for Visformer,
which such passes leave far below a training batch). PaLM (arXiv:2204.02311, Table 3) lists 0.21 to 0.46 for the
training of large language models at 16 bit."""


def _gpu(title: str, tflops_16: float, tflops_32: float, pattern: str) -> Device:
    return Device(title=title, tflops_16=tflops_16, tflops_32=tflops_32, pattern=pattern)


# NVIDIA's data sheets; of the GeForce and RTX cards, the white papers of Turing, Ampere, Ada and Blackwell.
DEVICES = {
    "b200": _gpu("NVIDIA B200", 2250, 75, "B200"),
    "h200": _gpu("NVIDIA H200", 989.4, 66.9, "H200"),
    "h100": _gpu("NVIDIA H100 (SXM)", 989.4, 66.9, "H100"),
    "a100": _gpu("NVIDIA A100", 312, 19.5, "A100"),
    "l40s": _gpu("NVIDIA L40S", 362, 91.6, "L40S"),
    "a40": _gpu("NVIDIA A40", 149.7, 37.4, "A40"),
    "a6000": _gpu("NVIDIA RTX A6000", 154.8, 38.7, "A6000"),
    "l4": _gpu("NVIDIA L4", 121, 30.3, "L4"),
    "a10": _gpu("NVIDIA A10", 125, 31.2, "A10"),
    "v100": _gpu("NVIDIA V100 (SXM2)", 125, 15.7, "V100"),
    "t4": _gpu("NVIDIA T4", 65, 8.1, "T4"),
    "rtx5090": _gpu("NVIDIA RTX 5090", 209.5, 104.8, "RTX ?5090"),
    "rtx4090": _gpu("NVIDIA RTX 4090", 165.2, 82.6, "RTX ?4090"),
    "rtx3090": _gpu("NVIDIA RTX 3090", 71, 35.6, "RTX ?3090"),
    "rtx2080ti": _gpu("NVIDIA RTX 2080 Ti", 56.9, 14.2, "RTX ?2080 ?Ti"),
}
"""Name for `plan --device` -> the GPU."""

HOW = "h100, h100@0.4 (at 40 % of its peak) or 400tflops@0.3"
"""How a device is written, for messages and the help."""


def find_device(text: str) -> Device:
    """The device of "h100", "h100@0.4" or "400tflops@0.3". Raises UsageError for an unknown name or share."""
    name, at, share = text.strip().lower().partition("@")
    if not name:
        raise UsageError(f"--device {text!r}: names no device; give one as {HOW}")
    utilisation = None
    if at:
        if not re.fullmatch(r"0?\.\d+|1(\.0+)?", share) or float(share) == 0:
            raise UsageError(
                f"--device {text}: {share!r} is not a share of the peak above 0 and at most 1, as in {HOW}"
            )
        utilisation = float(share)
    if rate := re.fullmatch(r"(\d+(?:\.\d+)?)tflops", name):
        peak = float(rate[1])
        if not peak:
            raise UsageError(f"--device {text}: must be above 0 Tflop/s")
        return Device(title=f"GPU of {peak:g} Tflop/s", tflops_16=peak, tflops_32=peak, utilisation=utilisation)
    if name not in DEVICES:
        raise UsageError(f"{unknown('device', name, DEVICES)}; or give its peak, as 400tflops")
    known = DEVICES[name]
    return known if utilisation is None else Device(**{**vars(known), "utilisation": utilisation, "pattern": r"(?!)"})
