"""`vtbench data`: what is done with folders of videos and single files before anything is trained on them."""

from __future__ import annotations

SUMMARY = "Re-encode videos for methods that read compressed video"

ACTIONS = {
    "prepare": "vtbench.cli.data_prepare",
}
"""Action -> the module that defines it, in the order of `vtbench data --help`."""
