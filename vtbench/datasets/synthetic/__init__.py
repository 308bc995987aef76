"""Synthetic sets: real encoded video whose labels are known by construction, and need time or every modality.

`cycle`, `events` and `stills` are H.264 with AAC and share ring.py. `bits` and `silent_bits` are MPEG-4 part 2, drawn
by bits.py.
"""

from vtbench.datasets.synthetic.generate import CLASSES, FLIP_LABELS, default_root, generate

__all__ = ["CLASSES", "FLIP_LABELS", "default_root", "generate"]
